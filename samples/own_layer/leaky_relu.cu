#include "leaky_relu.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <string>

using namespace gpucnn;

namespace {

__global__ void leak_kernel(const float* x, const float* from, float* to, std::int64_t count, float slope) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    to[i] = x[i] > 0 ? from[i] : slope * from[i];
  }
}

/// to[i] = from[i] where x[i] > 0, otherwise slope * from[i].
Tensor leak(const Tensor& x, const Tensor& from, float slope, const Stream& stream) {
  Tensor made = Tensor::empty(from.shape(), DType::f32, from.device());
  const std::int64_t count = made.numel();
  const float *gate = x.device_data<float>(), *source = from.device_data<float>();
  float* to = made.device_data<float>();
  if (stream.device() == Device::cpu()) {
    parallel_ranges(count, 16'384, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) to[i] = gate[i] > 0 ? source[i] : slope * source[i];
    });
  } else if (count > 0) {
    // As leak_kernel<<<blocks, 256, 0, stream>>>(...). Asked for each time: while a Trainer records a step, it is another stream.
    cudaLaunchConfig_t launch{};
    launch.gridDim = dim3(static_cast<unsigned>(std::min<std::int64_t>((count + 255) / 256, 65'535)));
    launch.blockDim = dim3(256);
    launch.stream = static_cast<cudaStream_t>(stream.native_handle());
    int before = 0;
    cudaGetDevice(&before);
    cudaSetDevice(stream.device().index);  // whose the stream is
    const cudaError_t status = cudaLaunchKernelEx(&launch, leak_kernel, gate, source, to, count, slope);
    cudaSetDevice(before);
    if (status != cudaSuccess) throw DeviceError(std::string("LeakyReLU: ") + cudaGetErrorString(status));
  }
  return made;
}

}  // namespace

Tensor LeakyReLU::forward(const Tensor& x, Context& context) const {
  context.save(x);
  return leak(x, x, slope_, context.stream());
}

Tensor LeakyReLU::gradients(const Tensor& dy, Context& context) {
  return context.input_grad() ? leak(context.saved(), dy, slope_, context.stream()) : Tensor{};
}
