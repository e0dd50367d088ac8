#include <cstdint>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/mixture.h>
#include <gpucnn/kernels/augment/step_position.h>
#include <gpucnn/kernels/augment/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

/// What is the same for all blocks.
struct MixTask {
  std::int64_t N, C, H, W, K;
  double mixup_alpha, cutmix_alpha;
  BatchPosition position;
};

/// Every block draws it anew, which takes less time than another launch.
__device__ void draw(const MixTask& task, const StepState* state, Mixture* mixture) {
  if (threadIdx.x == 0) {
    *mixture = mixture_of(task.mixup_alpha, task.cutmix_alpha, at_step(task.position, state), task.H, task.W);
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads, 4) mix_kernel(const float* images, const StepState* state, MixTask task, float* mixed) {
  GPUCNN_SHARED(Mixture, mixture, 1);
  draw(task, state, mixture);
  const std::int64_t size = task.C * task.H * task.W, stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t o = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; o < task.N * size; o += stride) {
    const std::int64_t i = o / size, e = o % size, pixel = e / task.C;
    const std::int64_t other = ((i > 0 ? i : task.N) - 1) * size + e;
    if (mixture->cuts) {
      mixed[o] = images[mixture->box.holds(pixel / task.W, pixel % task.W) ? other : o];
    } else {
      mixed[o] = mixture->others * images[other] + mixture->own * images[o];
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    mix_labels_kernel(const std::int32_t* labels, const StepState* state, MixTask task, float* probabilities) {
  GPUCNN_SHARED(Mixture, mixture, 1);
  draw(task, state, mixture);
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t o = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; o < task.N * task.K; o += stride) {
    const std::int64_t i = o / task.K, k = o % task.K;
    const float others = labels[(i > 0 ? i : task.N) - 1] == k ? mixture->others : 0.0F;
    probabilities[o] = others + (labels[i] == k ? mixture->own : 0.0F);
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::mix(const Tensor& images, const Tensor& labels, const MixOptions& options, const BatchPosition& position, Tensor& mixed,
               Tensor& probabilities, Stream& stream) {
  const MixTask task{images.dim(0),       images.dim(1),       images.dim(2),        images.dim(3),
                     options.num_classes, options.mixup_alpha, options.cutmix_alpha, position};
  const StepState* state = gpu::queue(stream.device()).step_state();
  launch(stream, "mix", grid(stream, images.numel()), mix_kernel, images.device_data<float>(), state, task,
         mixed.device_data<float>());
  launch(stream, "mix_labels", grid(stream, task.N * task.K), mix_labels_kernel, labels.device_data<std::int32_t>(), state, task,
         probabilities.device_data<float>());
}

}  // namespace gpucnn::kernels
