#include <cstdint>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/cutout_square.h>
#include <gpucnn/kernels/augment/step_position.h>
#include <gpucnn/kernels/augment/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 128;

// A block for each image.
__global__ void __launch_bounds__(kThreads)
    cutout_kernel(float* images, std::int64_t size, BatchPosition position, const StepState* state, std::int64_t N, std::int64_t C,
                  std::int64_t H, std::int64_t W) {
  const BatchPosition batch = at_step(position, state);
  for (std::int64_t i = blockIdx.x; i < N; i += gridDim.x) {
    const Box square = cutout_square(size, batch, image_position(batch, i), H, W);
    const std::int64_t line = square.width() * C;
    float* corner = images + ((i * H + square.top) * W + square.left) * C;
    for (std::int64_t e = threadIdx.x; e < square.height() * line; e += kThreads) corner[e / line * W * C + e % line] = 0;
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::cutout(Tensor& images, int size, const BatchPosition& position, Stream& stream) {
  const std::int64_t N = images.dim(0), C = images.dim(1), H = images.dim(2), W = images.dim(3);
  launch(stream, "cutout", {N, kThreads}, cutout_kernel, images.device_data<float>(), std::int64_t{size}, position,
         gpu::queue(stream.device()).step_state(), N, C, H, W);
}

}  // namespace gpucnn::kernels
