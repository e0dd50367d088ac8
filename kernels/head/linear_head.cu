#include <algorithm>
#include <cmath>
#include <limits>

#include <gpucnn/kernels/activation/dropout_mask.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/loss_parts.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/head/linear_head.h>

// A warp computes one row at a time. A lane has 4 * kQuads hidden units and the logit of one class. The weight and its gradient lie
// in shared memory, where each element of the gradient belongs to one thread. So sums have one order.
namespace gpucnn::kernels {
namespace {

constexpr int kWarps = 8;  // rows at a time
constexpr std::int64_t kMaxBlocks = 128, kMaxHidden = 512, kMaxClasses = 32, kMaxRows = 65'536;
constexpr std::int64_t kMaxSharedBytes = 64'000;  // every GPU has 64 KiB, of which some are used besides

/// Bytes that a block shares: the weight and its gradient, and of each warp's row the hidden units and the gradient of the logits.
constexpr std::int64_t shared_bytes(std::int64_t K, std::int64_t C) { return 4 * (2 * C * K + kWarps * (K + kMaxClasses)); }

/// Rows of a block.
std::int64_t rows_of_block(std::int64_t N) {
  const std::int64_t groups = (N + kWarps - 1) / kWarps;
  return (groups + kMaxBlocks - 1) / kMaxBlocks * kWarps;
}

}  // namespace

bool linear_head_serves(std::int64_t N, std::int64_t K, std::int64_t C) noexcept {
  return N >= 1 && N <= kMaxRows && K % 4 == 0 && K >= 4 && K <= kMaxHidden && C >= 1 && C <= kMaxClasses &&
         shared_bytes(K, C) <= kMaxSharedBytes;
}

std::int64_t linear_head_blocks(std::int64_t N) noexcept {
  const std::int64_t rows = rows_of_block(N);
  return (N + rows - 1) / rows;
}

namespace cuda {
namespace {

struct HeadSizes {
  std::int64_t N, width;  // width: of a row of slices
  int slices, K, C, rows;
};

__device__ int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

/// A lane's hidden units of one row, and what dropout multiplies them by.
template <int kQuads>
struct Hidden {
  float value[4 * kQuads], factor[4 * kQuads];

  /// The first of the four units number `quad`.
  __device__ static int unit(int quad) { return 4 * (lane() + kWarp * quad); }

  __device__ void compute(const HeadSizes& s, std::int64_t n, const float* products, const float* bias, const DropoutMask& mask) {
    GPUCNN_UNROLL
    for (int q = 0; q < kQuads; ++q) {
      const int k = unit(q);
      if (k >= s.K) {
        for (int e = 4 * q; e < 4 * q + 4; ++e) value[e] = factor[e] = 0;
        continue;
      }
      auto sum = load<4>(products + n * s.K + k);
      for (int slice = 1; slice < s.slices; ++slice) {
        const auto more = load<4>(products + (slice * s.N + n) * s.K + k);
        for (int e = 0; e < 4; ++e) sum.at[e] += more.at[e];
      }
      std::array<std::uint32_t, 4> words{};
      if (mask.threshold > 0) words = mask.random.block(static_cast<std::uint64_t>(n * s.K + k) / 4);
      GPUCNN_UNROLL
      for (int e = 0; e < 4; ++e) {
        const float x = sum.at[e] + (bias ? bias[k + e] : 0.0F);
        factor[4 * q + e] = mask.factor(words[e]);
        value[4 * q + e] = (x < 0 ? 0 : x) * factor[4 * q + e];  // a maximum would turn NaN into 0
      }
    }
  }
};

/// Where the row's largest logit is, the first of equals, in every lane; -1 if one is NaN.
__device__ int largest_class(float logit, int C) {
  if (__ballot_sync(kAllLanes, lane() < C && logit != logit) != 0) return -1;
  float best = lane() < C ? logit : -std::numeric_limits<float>::infinity();
  int at = lane() < C ? lane() : C;
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, best, distance);
    const int its = __shfl_xor_sync(kAllLanes, at, distance);
    if (other > best || (other == best && its < at)) {
      best = other;
      at = its;
    }
  }
  return at;
}

/// One row's loss, in every lane, and the gradient of the lane's logit.
struct RowLoss {
  double loss;
  float gradient;

  __device__ static RowLoss of(float logit, int C, std::int32_t label, std::int32_t ignored, double counted) {
    if (label == ignored) return {0, 0};
    constexpr float kLowest = -std::numeric_limits<float>::infinity();
    float top = lane() < C ? logit : kLowest;
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      const float other = __shfl_xor_sync(kAllLanes, top, distance);
      top = top > other || top != top ? top : other;
    }
    // In double: the rounding of logit - top in f32 would show in the exponential.
    const auto largest = static_cast<double>(top);
    const double share = lane() < C ? exp(static_cast<double>(logit) - largest) : 0;
    double sum = warp_sum(share);
    if (!(fabsf(top) <= std::numeric_limits<float>::max()) || label < 0 || label >= C) {
      sum = std::numeric_limits<double>::quiet_NaN();
    }
    const auto chosen = static_cast<double>(__shfl_sync(kAllLanes, logit, label < 0 || label >= C ? 0 : label));
    // The label's in double, because a good prediction leaves little of softmax - 1.
    const auto own = static_cast<float>((share - sum) / (sum * counted));
    const float other = static_cast<float>(share) * static_cast<float>(1 / (sum * counted));
    return {log(sum) + largest - chosen, lane() == label ? own : other};
  }
};

/// `hidden_bias` and `bias` may be null; T: of dhidden. `captured` is null outside of a captured step.
template <int kQuads, class T>
__global__ void __launch_bounds__(kThreads, kQuads == 1 ? 2 : 1)
    head_kernel(HeadSizes s, DropoutMask given, const StepState* captured, std::int32_t ignored, const float* products,
                const float* hidden_bias, const float* weight, const float* bias, const std::int32_t* labels, float* logits,
                T* dhidden, float* slices, LossPart* parts) {
  static_assert(kWarps == kThreads / kWarp);
  GPUCNN_SHARED(LossPart, warps, kWarps);
  GPUCNN_SHARED(std::int64_t, counted_labels, 1);
  float* const weights = dynamic_shared<float>();
  float* const gradients = weights + s.C * s.K;
  float* const hidden_rows = gradients + s.C * s.K;
  float* const logit_rows = hidden_rows + kWarps * s.K;
  const int elements = s.C * s.K, thread = static_cast<int>(threadIdx.x);
  const DropoutMask mask = given.todays(captured);

  std::int64_t count = 0;
  for (std::int64_t n = thread; n < s.N; n += kThreads) count += labels[n] != ignored;
  count = block_sum<kThreads>(count);
  if (thread == 0) *counted_labels = count;
  for (int e = thread; e < elements; e += kThreads) {
    weights[e] = weight[e];
    gradients[e] = 0;
  }
  __syncthreads();
  const auto counted = static_cast<double>(*counted_labels);

  LossPart part{};
  float bias_gradient = 0;  // of class `thread`
  float* const own_hidden = hidden_rows + warp() * s.K;
  float* const own_logits = logit_rows + warp() * static_cast<int>(kMaxClasses);
  const std::int64_t first = std::int64_t{blockIdx.x} * s.rows;
  GPUCNN_NO_UNROLL
  for (int row = 0; row < s.rows && first + row < s.N; row += kWarps) {
    const std::int64_t n = first + row + warp();
    Hidden<kQuads> hidden;
    if (n < s.N) {
      hidden.compute(s, n, products, hidden_bias, mask);
      float logit = 0;
      GPUCNN_NO_UNROLL
      for (int c = 0; c < s.C; ++c) {
        float sum = 0;
        GPUCNN_UNROLL
        for (int q = 0; q < kQuads; ++q) {
          const int k = Hidden<kQuads>::unit(q);
          if (k >= s.K) continue;
          const auto four = load<4>(weights + c * s.K + k);
          for (int e = 0; e < 4; ++e) sum = fmaf(hidden.value[4 * q + e], four.at[e], sum);
        }
        sum = warp_sum(sum);
        if (c == lane()) logit = sum;
      }
      if (bias && lane() < s.C) logit += bias[lane()];
      const std::int32_t label = labels[n];
      const RowLoss loss = RowLoss::of(logit, s.C, label, ignored, counted);
      const int best = largest_class(logit, s.C);
      part.loss += loss.loss;
      part.correct += label != ignored && best == label;
      part.ignored += label == ignored;
      if (lane() < s.C) {
        logits[n * s.C + lane()] = logit;
        own_logits[lane()] = loss.gradient;
      }
      __syncwarp();
      GPUCNN_UNROLL
      for (int q = 0; q < kQuads; ++q) {
        const int k = Hidden<kQuads>::unit(q);
        if (k >= s.K) continue;
        float sums[4] = {};
        GPUCNN_NO_UNROLL
        for (int c = 0; c < s.C; ++c) {
          const auto four = load<4>(weights + c * s.K + k);
          for (int e = 0; e < 4; ++e) sums[e] = fmaf(own_logits[c], four.at[e], sums[e]);
        }
        Lanes<T, 4> through;
        Lanes<float, 4> kept;
        for (int e = 0; e < 4; ++e) {
          const float value = hidden.value[4 * q + e];
          through.at[e] = narrow<T>(value <= 0 ? 0 : sums[e] * hidden.factor[4 * q + e]);
          kept.at[e] = value;
        }
        store(through, dhidden + n * s.K + k);
        store(kept, own_hidden + k);
      }
    }
    __syncthreads();
    const int rows = static_cast<int>(std::min<std::int64_t>(kWarps, s.N - first - row));
    for (int e = thread; e < elements; e += kThreads) {
      const int c = e / s.K, k = e % s.K;
      float sum = gradients[e];
      for (int r = 0; r < rows; ++r) sum = fmaf(logit_rows[r * static_cast<int>(kMaxClasses) + c], hidden_rows[r * s.K + k], sum);
      gradients[e] = sum;
    }
    for (int r = 0; thread < s.C && r < rows; ++r) bias_gradient += logit_rows[r * static_cast<int>(kMaxClasses) + thread];
    __syncthreads();  // before the next rows are written
  }

  float* const slice = slices + blockIdx.x * s.width;
  for (int e = thread; e < elements; e += kThreads) slice[e] = gradients[e];
  if (thread < s.C && s.width > elements) slice[elements + thread] = bias_gradient;
  if (lane() == 0) warps[warp()] = part;
  __syncthreads();
  if (thread != 0) return;
  LossPart all{};
  for (const LossPart& each : warps) all = {all.loss + each.loss, all.correct + each.correct, all.ignored + each.ignored};
  parts[blockIdx.x] = all;
}

__global__ void __launch_bounds__(kThreads) head_loss_kernel(const LossPart* parts, int count, std::int64_t N, float* loss) {
  const LossTotal total = total_of<kThreads>(parts, count, N);
  if (threadIdx.x == 0) *loss = total.loss;
}

const float* data_of(const Tensor& tensor) { return tensor.defined() ? tensor.device_data<float>() : nullptr; }

}  // namespace

Tensor linear_head_parts(std::int64_t N, Device device) {
  return Tensor::empty({linear_head_blocks(N), std::int64_t{sizeof(LossPart)}}, DType::u8, device);
}

void linear_head(const LinearHead& head, LinearHeadResults& results, Stream& stream) {
  const Shape &products = head.products.shape(), &weight = head.weight.shape();
  const auto K = static_cast<int>(weight[1]), C = static_cast<int>(weight[0]);
  const std::int64_t N = products[1];
  const HeadSizes sizes{N, results.slices.dim(1), static_cast<int>(products[0]), K, C, static_cast<int>(rows_of_block(N))};
  const DropoutMask mask =
      head.mask ? DropoutMask::of(head.p, *head.mask) : DropoutMask{RandomStream(0, Purpose::dropout), 0, 1.0F};
  const StepState* const state = gpu::queue(stream.device()).step_state();
  const LaunchShape shape{linear_head_blocks(N), kThreads, static_cast<std::size_t>(shared_bytes(K, C))};
  for_activation(results.dhidden.dtype(), [&]<class T>(T) {
    launch(stream, "linear_head", shape, K <= 4 * kWarp ? head_kernel<1, T> : head_kernel<4, T>, sizes, mask, state,
           head.ignore_index, data_of(head.products), data_of(head.hidden_bias), data_of(head.weight), data_of(head.bias),
           head.labels.device_data<std::int32_t>(), results.logits.device_data<float>(), results.dhidden.device_data<T>(),
           results.slices.device_data<float>(), reinterpret_cast<LossPart*>(results.parts.bytes()));
  });
}

void linear_head_loss(const Tensor& parts, std::int64_t N, Tensor& loss, Stream& stream) {
  launch(stream, "linear_head_loss", {1, kThreads}, head_loss_kernel, reinterpret_cast<const LossPart*>(parts.bytes()),
         static_cast<int>(parts.dim(0)), N, loss.device_data<float>());
}

}  // namespace cuda
}  // namespace gpucnn::kernels
