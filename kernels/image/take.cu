#include <span>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void take_kernel(const std::int32_t* x, const std::int64_t* indices, std::int32_t* y, std::int64_t N) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < N; i += stride) y[i] = x[indices[i]];
}

}  // namespace

void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y, Stream& stream) {
  const std::int64_t N = y.numel();
  Tensor there = Tensor::empty({N}, DType::i64, stream.device());
  backend::copy(there.bytes(), stream.device(), indices.data(), Device::cpu(), indices.size_bytes());
  launch(stream, "take", {(N + kThreads - 1) / kThreads, kThreads}, take_kernel, x.device_data<std::int32_t>(),
         there.device_data<std::int64_t>(), y.device_data<std::int32_t>(), N);
}

}  // namespace gpucnn::kernels::cuda
