#include <gpucnn/core/tensor.h>
#include <cmath>
#include <limits>

#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kRows = kThreads / kWarp;  // a row for each warp

/// The larger of two; NaN if either is.
__device__ float larger(float a, float b) { return a > b || std::isnan(a) ? a : b; }

/// Of one row, in every lane: the largest x, and the sum of exp(x[c] - largest); the sum is NaN where softmax is.
struct WarpRow {
  double largest;
  double sum;
};

/// Computes it, and writes exp(x[c] - largest) to e[c]. e may be x, or null. In double: the rounding of x - largest in f32 would
/// show in the exponential. A lane reads from e what it wrote itself.
__device__ WarpRow softmax_row(const float* x, float* e, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float top = -std::numeric_limits<float>::infinity();
  for (std::int64_t c = lane; c < C; c += kWarp) top = larger(top, x[c]);
  for (int distance = kWarp / 2; distance > 0; distance /= 2) top = larger(top, __shfl_xor_sync(kAllLanes, top, distance));
  const auto largest = static_cast<double>(top);
  double sum = 0;
  for (std::int64_t c = lane; c < C; c += kWarp) {
    const double value = exp(static_cast<double>(x[c]) - largest);
    sum += value;
    if (e) e[c] = static_cast<float>(value);
  }
  sum = warp_sum(sum);
  return {largest, std::isfinite(top) ? sum : std::numeric_limits<double>::quiet_NaN()};
}

__device__ double weight_of(const float* weight, std::int64_t c) { return weight ? static_cast<double>(weight[c]) : 1; }

/// *divisor = the sum of the weights of the labels that count. One outside [0, C) adds nothing: its row makes the loss NaN.
__global__ void __launch_bounds__(kThreads) divisor_kernel(const std::int32_t* labels, const float* weight, std::int32_t ignored,
                                                           double* divisor, std::int64_t N, std::int64_t C) {
  double sum = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += kThreads) {
    const std::int32_t label = labels[n];
    if (label != ignored && label >= 0 && label < C) sum += weight_of(weight, label);
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *divisor = sum;
}

/// The sum over c of -q log softmax(x), in every lane of the row's warp; its part of dlogits to `dx`. `label` is -1 where `t`, the
/// row's probabilities, is not null. `kept` and `spread`: 1 - eps and eps / C.
__device__ double row_loss(const float* x, std::int64_t label, const float* t, const float* weight, double kept, double spread,
                           double divisor, float* dx, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto [largest, sum] = softmax_row(x, dx, C);
  const double log_sum = log(sum);
  const bool label_only = !t && spread == 0;  // the others' q is 0, and their logits may be -infinity
  const auto q_of = [&](std::int64_t c) {
    return weight_of(weight, c) * (kept * (t ? static_cast<double>(t[c]) : static_cast<double>(c == label)) + spread);
  };
  double loss = 0, all = 0;
  for (std::int64_t c = lane; c < C; c += kWarp) {
    if (label_only && c != label) continue;
    const double q = q_of(c);
    loss += q * (log_sum + largest - static_cast<double>(x[c]));
    all += q;
  }
  loss = warp_sum(loss);
  all = warp_sum(all);
  for (std::int64_t c = lane; c < C; c += kWarp) {
    const double q = q_of(c);
    // In double where something is subtracted, because a good prediction leaves little.
    const double e = q == 0 ? static_cast<double>(dx[c]) : exp(static_cast<double>(x[c]) - largest);
    dx[c] = static_cast<float>((e * all - q * sum) / (sum * divisor));
  }
  return loss;
}

/// sums[g] = the losses of rows kRows * g and following. One of `labels` and `t` is null. All are divided by *divisor,
/// or by `fixed_divisor` where that is null.
__global__ void __launch_bounds__(kThreads)
    loss_kernel(const float* x, const std::int32_t* labels, const float* t, const float* weight, std::int32_t ignored, double kept,
                double spread, const double* divisor, double fixed_divisor, float* dx, double* sums, std::int64_t N,
                std::int64_t C) {
  const std::int64_t groups = (N + kRows - 1) / kRows;
  for (std::int64_t g = blockIdx.x; g < groups; g += gridDim.x) {
    const std::int64_t n = g * kRows + threadIdx.x / kWarp;
    double loss = 0;
    if (n < N) {
      const std::int64_t label = labels ? labels[n] : -1;
      if (labels && (label == ignored || label < 0 || label >= C)) {
        loss = label == ignored ? 0 : std::numeric_limits<double>::quiet_NaN();
        for (std::int64_t c = threadIdx.x % kWarp; c < C; c += kWarp) dx[n * C + c] = static_cast<float>(loss);
      } else {
        loss = row_loss(x + n * C, label, t ? t + n * C : nullptr, weight, kept, spread, divisor ? *divisor : fixed_divisor,
                        dx + n * C, C);
      }
    }
    const double sum = block_sum<kThreads>(threadIdx.x % kWarp == 0 ? loss : 0);
    if (threadIdx.x == 0) sums[g] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    total_kernel(const double* sums, std::int64_t groups, const double* divisor, double fixed_divisor, float* loss) {
  double sum = 0;
  for (std::int64_t g = threadIdx.x; g < groups; g += kThreads) sum += sums[g];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / (divisor ? *divisor : fixed_divisor));
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options, Tensor& loss,
                         Tensor& dlogits, Stream& stream) {
  constexpr const char* kName = "cross_entropy";
  const std::int64_t N = logits.dim(0), C = logits.dim(1), groups = (N + kRows - 1) / kRows;
  Tensor memory = Tensor::empty({(groups + 1) * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
  auto* sums = reinterpret_cast<double*>(memory.bytes());
  const bool probable = targets.dtype() == DType::f32;
  const std::int32_t* labels = probable ? nullptr : targets.device_data<std::int32_t>();
  const float* weight = options.weight.defined() ? options.weight.device_data<float>() : nullptr;
  const double fixed_divisor = options.reduction == Reduction::mean ? static_cast<double>(N) : 1;
  double* divisor = nullptr;
  if (options.reduction == Reduction::mean && !probable) {
    divisor = sums + groups;
    launch(stream, kName, {1, kThreads}, divisor_kernel, labels, weight, options.ignore_index, divisor, N, C);
  }
  launch(stream, kName, {groups, kThreads}, loss_kernel, logits.device_data<float>(), labels,
         probable ? targets.device_data<float>() : nullptr, weight, options.ignore_index, 1 - options.label_smoothing,
         options.label_smoothing / static_cast<double>(C), divisor, fixed_divisor, dlogits.device_data<float>(), sums, N, C);
  launch(stream, kName, {1, kThreads}, total_kernel, sums, groups, divisor, fixed_divisor, loss.device_data<float>());
}

}  // namespace gpucnn::kernels
