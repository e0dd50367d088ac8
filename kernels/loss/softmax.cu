#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/softmax_warp.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRows = kThreads / kWarp;  // a row for each warp

__global__ void softmax_kernel(const float* x, float* y, std::int64_t N, std::int64_t C) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t n = std::int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp; n < N; n += std::int64_t{gridDim.x} * kRows) {
    float* row = y + n * C;
    const auto scale = static_cast<float>(1 / softmax_row(x + n * C, row, C).sum);
    for (std::int64_t c = lane; c < C; c += kWarp) row[c] *= scale;
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::softmax(const Tensor& x, Tensor& y, Stream& stream) {
  const std::int64_t N = x.dim(0), C = x.dim(1);
  if (C == 0) return;  // no elements
  launch(stream, "softmax", {(N + kRows - 1) / kRows, kThreads}, softmax_kernel, x.device_data<float>(), y.device_data<float>(), N,
         C);
}

}  // namespace gpucnn::kernels
