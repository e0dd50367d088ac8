#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/metrics/argmax_warp.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRows = kThreads / kWarp;  // a row for each warp

__global__ void __launch_bounds__(kThreads) argmax_kernel(const float* x, std::int64_t* y, std::int64_t N, std::int64_t C) {
  for (std::int64_t n = std::int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp; n < N; n += std::int64_t{gridDim.x} * kRows) {
    const Largest largest = first_largest(x + n * C, C);
    if (threadIdx.x % kWarp == 0) y[n] = largest.index;
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::argmax(const Tensor& x, Tensor& y, Stream& stream) {
  const std::int64_t N = x.dim(0);
  launch(stream, "argmax", {(N + kRows - 1) / kRows, kThreads}, argmax_kernel, x.device_data<float>(),
         y.device_data<std::int64_t>(), N, x.dim(1));
}

}  // namespace gpucnn::kernels
