#include <cstdint>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/color_formula.h>
#include <gpucnn/kernels/augment/step_position.h>
#include <gpucnn/kernels/augment/twins.h>
#include <gpucnn/kernels/cuda/block_reduce.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// A block for each image: its contrast needs the mean over all of it. Every thread comes back to the pixels it has written.
__global__ void __launch_bounds__(kThreads)
    jitter_kernel(float* images, ColorRanges ranges, BatchPosition position, const StepState* state, std::int64_t N, std::int64_t C,
                  std::int64_t pixels) {
  GPUCNN_SHARED(ColorFactors, shared, 1);
  GPUCNN_SHARED(float, means, 1);
  const BatchPosition batch = at_step(position, state);
  for (std::int64_t i = blockIdx.x; i < N; i += gridDim.x) {
    if (threadIdx.x == 0) shared[0] = color_factors(ranges, batch, image_position(batch, i));
    __syncthreads();
    const ColorFactors factors = shared[0];
    float* image = images + i * pixels * C;
    const int before = steps_before_contrast(factors);
    const bool contrast = before < factors.steps;
    double sum = 0;
    for (std::int64_t p = threadIdx.x; p < pixels; p += kThreads) {
      const Color color = adjust(load_color(image + p * C, C), factors, 0, before, 0, C);
      if (contrast) sum += static_cast<double>(gray(color, C));
      if (before > 0) store_color(color, C, image + p * C);
    }
    if (contrast) {
      sum = block_sum<kThreads>(sum);
      if (threadIdx.x == 0) means[0] = static_cast<float>(sum / static_cast<double>(pixels));
      __syncthreads();
      const float mean = means[0];
      for (std::int64_t p = threadIdx.x; p < pixels; p += kThreads) {
        store_color(adjust(load_color(image + p * C, C), factors, before, factors.steps, mean, C), C, image + p * C);
      }
    }
    __syncthreads();  // before thread 0 writes the next factors
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::color_jitter(Tensor& images, const ColorJitterOptions& options, const BatchPosition& position, Stream& stream) {
  if (images.numel() == 0) return;
  const std::int64_t N = images.dim(0), C = images.dim(1), pixels = images.dim(2) * images.dim(3);
  launch(stream, "color_jitter", {N, kThreads}, jitter_kernel, images.device_data<float>(), color_ranges(options, C), position,
         gpu::queue(stream.device()).step_state(), N, C, pixels);
}

}  // namespace gpucnn::kernels
