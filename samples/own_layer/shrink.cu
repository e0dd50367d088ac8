#include "shrink.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <string>

using namespace gpucnn;

namespace {

__global__ void shrink_kernel(const float* x, const float* from, float* to, std::int64_t count, float lambda) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    to[i] = fabsf(x[i]) <= lambda ? 0 : from[i];
  }
}

/// to[i] = 0 where |x[i]| <= lambda, otherwise from[i].
Tensor shrink(const Tensor& x, const Tensor& from, float lambda, const Stream& stream) {
  Tensor made = Tensor::empty(from.shape(), DType::f32, from.device());
  const std::int64_t count = made.numel();
  const float *gate = x.device_data<float>(), *source = from.device_data<float>();
  float* to = made.device_data<float>();
  if (stream.device() == Device::cpu()) {
    parallel_ranges(count, 16'384, [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) to[i] = std::abs(gate[i]) <= lambda ? 0 : source[i];
    });
  } else if (count > 0) {
    // As shrink_kernel<<<blocks, 256, 0, stream>>>(...). Asked for each time: while a Trainer records a step, it is another stream.
    cudaLaunchConfig_t launch{};
    launch.gridDim = dim3(static_cast<unsigned>(std::min<std::int64_t>((count + 255) / 256, 65'535)));
    launch.blockDim = dim3(256);
    launch.stream = static_cast<cudaStream_t>(stream.native_handle());
    int before = 0;
    cudaGetDevice(&before);
    cudaSetDevice(stream.device().index);  // whose the stream is
    const cudaError_t status = cudaLaunchKernelEx(&launch, shrink_kernel, gate, source, to, count, lambda);
    cudaSetDevice(before);
    if (status != cudaSuccess) throw DeviceError(std::string("Shrink: ") + cudaGetErrorString(status));
  }
  return made;
}

}  // namespace

Tensor Shrink::forward(const Tensor& x, Context& context) const {
  context.save(x);
  return shrink(x, x, lambda_, context.stream());
}

Tensor Shrink::gradients(const Tensor& dy, Context& context) {
  return context.input_grad() ? shrink(context.saved(), dy, lambda_, context.stream()) : Tensor{};
}
