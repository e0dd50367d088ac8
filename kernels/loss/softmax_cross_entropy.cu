#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/softmax_warp.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kRows = kThreads / kWarp;  // a row for each warp
/// Up to here each block counts the labels itself, which costs less than another launch.
constexpr std::int64_t kMaxCountedByEach = 2048;

/// In every thread of a block how many labels are not `ignored`.
__device__ std::int64_t count_labels(const std::int32_t* labels, std::int64_t N, std::int32_t ignored) {
  GPUCNN_SHARED(std::int64_t, everywhere, 1);
  std::int64_t count = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += kThreads) count += labels[n] != ignored;
  count = block_sum<kThreads>(count);
  if (threadIdx.x == 0) *everywhere = count;
  __syncthreads();
  return *everywhere;
}

__global__ void __launch_bounds__(kThreads)
    count_kernel(const std::int32_t* labels, std::int64_t N, std::int32_t ignored, std::int64_t* counted) {
  const std::int64_t count = count_labels(labels, N, ignored);
  if (threadIdx.x == 0) *counted = count;
}

/// The loss of one row, in every lane of its warp; its part of dlogits to `dx` unless that is null.
__device__ double row_loss(const float* x, std::int32_t label, float* dx, std::int64_t C, std::int64_t counted,
                           std::int32_t ignored) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (label == ignored || label < 0 || label >= C) {
    const double value = label == ignored ? 0 : std::numeric_limits<double>::quiet_NaN();
    for (std::int64_t c = lane; dx && c < C; c += kWarp) dx[c] = static_cast<float>(value);
    return value;
  }
  const auto chosen = static_cast<double>(x[label]);
  __syncwarp();  // every lane has it before one writes dx, which may be x
  const auto [largest, sum] = softmax_row(x, dx, C);
  if (dx) {
    const auto scale = static_cast<float>(1 / (sum * static_cast<double>(counted)));
    // The label's in double, because a good prediction leaves little of softmax - 1.
    const auto own = static_cast<float>((exp(chosen - largest) - sum) / (sum * static_cast<double>(counted)));
    for (std::int64_t c = lane; c < C; c += kWarp) dx[c] = c == label ? own : dx[c] * scale;
  }
  return log(sum) + largest - chosen;
}

/// sums[g] = the losses of rows kRows * g and following. *counted is how many rows count: read where N is beyond kMaxCountedByEach,
/// else written.
__global__ void __launch_bounds__(kThreads) loss_kernel(const float* x, const std::int32_t* labels, std::int32_t ignored, float* dx,
                                                        double* sums, std::int64_t* counted, std::int64_t N, std::int64_t C) {
  const std::int64_t count = N > kMaxCountedByEach ? *counted : count_labels(labels, N, ignored);
  if (N <= kMaxCountedByEach && blockIdx.x == 0 && threadIdx.x == 0) *counted = count;
  const std::int64_t groups = (N + kRows - 1) / kRows;
  for (std::int64_t g = blockIdx.x; g < groups; g += gridDim.x) {
    const std::int64_t n = g * kRows + threadIdx.x / kWarp;
    const double loss = n < N ? row_loss(x + n * C, labels[n], dx ? dx + n * C : nullptr, C, count, ignored) : 0;
    const double sum = block_sum<kThreads>(threadIdx.x % kWarp == 0 ? loss : 0);
    if (threadIdx.x == 0) sums[g] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    mean_kernel(const double* sums, std::int64_t groups, float* loss, const std::int64_t* counted) {
  double sum = 0;
  for (std::int64_t g = threadIdx.x; g < groups; g += kThreads) sum += sums[g];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / static_cast<double>(*counted));
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::softmax_cross_entropy(const Tensor& logits, const Tensor& labels, std::int32_t ignore_index, Tensor& loss,
                                 Tensor& dlogits, Stream& stream) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1), groups = (N + kRows - 1) / kRows;
  Tensor memory = Tensor::empty({(groups + 1) * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
  auto* counted = reinterpret_cast<std::int64_t*>(memory.bytes());
  auto* sums = reinterpret_cast<double*>(memory.bytes()) + 1;
  if (N == 0 || N > kMaxCountedByEach) {
    launch(stream, "softmax_cross_entropy", {1, kThreads}, count_kernel, labels.device_data<std::int32_t>(), N, ignore_index,
           counted);
  }
  launch(stream, "softmax_cross_entropy", {groups, kThreads}, loss_kernel, logits.device_data<float>(),
         labels.device_data<std::int32_t>(), ignore_index, dlogits.defined() ? dlogits.device_data<float>() : nullptr, sums,
         counted, N, C);
  launch(stream, "softmax_cross_entropy", {1, kThreads}, mean_kernel, sums, groups, loss.device_data<float>(), counted);
}

}  // namespace gpucnn::kernels
