#include <gpucnn/core/gpu/add.h>
#include <gpucnn/core/gpu/launch.h>

namespace gpucnn::gpu {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) add_kernel(float* sum, const float* more, std::int64_t count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) sum[i] += more[i];
}

}  // namespace

void add(Device device, float* sum, const float* more, std::int64_t count) {
  const Stream stream(device);
  launch(stream, "add", {(count + kThreads - 1) / kThreads, kThreads}, add_kernel, sum, more, count);
}

}  // namespace gpucnn::gpu
