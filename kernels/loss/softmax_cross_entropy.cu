#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/softmax_warp.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRows = kThreads / kWarp;  // a row for each warp

/// The loss of one row, in every lane of its warp; its part of dlogits to `dx` unless that is null.
__device__ double row_loss(const float* x, std::int32_t label, float* dx, std::int64_t C, std::int64_t N) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (label < 0 || label >= C) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    for (std::int64_t c = lane; dx && c < C; c += kWarp) dx[c] = static_cast<float>(kNan);
    return kNan;
  }
  const auto chosen = static_cast<double>(x[label]);
  __syncwarp();  // every lane has it before one writes dx, which may be x
  const auto [largest, sum] = softmax_row(x, dx, C);
  if (dx) {
    const auto scale = static_cast<float>(1 / (sum * static_cast<double>(N)));
    // The label's in double, because a good prediction leaves little of softmax - 1.
    const auto own = static_cast<float>((exp(chosen - largest) - sum) / (sum * static_cast<double>(N)));
    for (std::int64_t c = lane; c < C; c += kWarp) dx[c] = c == label ? own : dx[c] * scale;
  }
  return log(sum) + largest - chosen;
}

/// sums[g] = the losses of rows kRows * g and following.
__global__ void loss_kernel(const float* x, const std::int32_t* labels, float* dx, double* sums, std::int64_t N, std::int64_t C) {
  const std::int64_t groups = (N + kRows - 1) / kRows;
  for (std::int64_t g = blockIdx.x; g < groups; g += gridDim.x) {
    const std::int64_t n = g * kRows + threadIdx.x / kWarp;
    const double loss = n < N ? row_loss(x + n * C, labels[n], dx ? dx + n * C : nullptr, C, N) : 0;
    const double sum = block_sum<kThreads>(threadIdx.x % kWarp == 0 ? loss : 0);
    if (threadIdx.x == 0) sums[g] = sum;
  }
}

__global__ void mean_kernel(const double* sums, std::int64_t groups, float* loss, std::int64_t N) {
  double sum = 0;
  for (std::int64_t g = threadIdx.x; g < groups; g += kThreads) sum += sums[g];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / static_cast<double>(N));
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Tensor& loss, Tensor& dlogits, Stream& stream) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1), groups = (N + kRows - 1) / kRows;
  Tensor memory = Tensor::empty({groups * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
  auto* sums = reinterpret_cast<double*>(memory.bytes());
  launch(stream, "softmax_cross_entropy", {groups, kThreads}, loss_kernel, logits.device_data<float>(),
         labels.device_data<std::int32_t>(), dlogits.defined() ? dlogits.device_data<float>() : nullptr, sums, N, C);
  launch(stream, "softmax_cross_entropy", {1, kThreads}, mean_kernel, sums, groups, loss.device_data<float>(), N);
}

}  // namespace gpucnn::kernels
