#include <gpucnn/kernels/optim/rmsprop.h>

#include <cmath>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;

struct Coefficients {
  float lr, alpha, rest, eps, decay, momentum;
  int group;
  bool centered, maximize;
};

template <int kWidth>
struct Elements {
  Lanes<float, kWidth> dweight, weight, square, velocity, mean;
};

/// A captured step reads `state`, which is null otherwise.
__global__ void __launch_bounds__(kThreads)
    rmsprop_kernel(Coefficients s, const StepState* state, const float* dweight, float* weight, float* square, float* velocity,
                   float* mean, std::int64_t count, bool wide) {
  if (state) {
    if (state->failed) return;
    s.lr = static_cast<float>(state->lr[s.group]);
    if (velocity) s.momentum = static_cast<float>(state->momentum[s.group]);
  }
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        Elements<width> read{load<width>(dweight + i), load<width>(weight + i), load<width>(square + i)};
        if (s.momentum != 0) read.velocity = load<width>(velocity + i);
        if (s.centered) read.mean = load<width>(mean + i);
        return read;
      },
      [=]<int kWidth>(std::int64_t i, Elements<kWidth> e) {
        for (int k = 0; k < kWidth; ++k) {
          float& w = e.weight.at[k];
          float& v = e.square.at[k];
          const float g = fmaf(s.decay, w, s.maximize ? -e.dweight.at[k] : e.dweight.at[k]);
          v = fmaf(s.rest * g, g, s.alpha * v);
          float variance = v;
          if (s.centered) {
            float& average = e.mean.at[k];
            // PyTorch's lerp goes from the nearer end, so that alpha = 0 gives the gradient exactly.
            average = s.rest < 0.5F ? fmaf(s.rest, g - average, average) : fmaf(-s.alpha, g - average, g);
            variance = fmaf(-average, average, v);
          }
          const float root = std::sqrt(variance) + s.eps;
          if (s.momentum != 0) {
            float& u = e.velocity.at[k];
            u = fmaf(s.momentum, u, g / root);
            w = fmaf(-s.lr, u, w);
          } else {
            w -= s.lr * g / root;
          }
        }
        store(e.square, square + i);
        if (s.momentum != 0) store(e.velocity, velocity + i);
        if (s.centered) store(e.mean, mean + i);
        store(e.weight, weight + i);
      });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::rmsprop(const Tensor& dweight, const RmspropStep& step, Tensor& weight, RmspropState& state, Stream& stream) {
  const Coefficients coefficients{.lr = static_cast<float>(step.lr),
                                  .alpha = static_cast<float>(step.alpha),
                                  .rest = static_cast<float>(1 - step.alpha),
                                  .eps = static_cast<float>(step.eps),
                                  .decay = static_cast<float>(step.weight_decay),
                                  .momentum = static_cast<float>(step.momentum),
                                  .group = step.group,
                                  .centered = step.centered,
                                  .maximize = step.maximize};
  const float* gradient = dweight.device_data<float>();
  float* value = weight.device_data<float>();
  float* square = state.square_avg.device_data<float>();
  float* speed = state.momentum_buffer.defined() ? state.momentum_buffer.device_data<float>() : nullptr;
  float* mean = step.centered ? state.grad_avg.device_data<float>() : nullptr;
  const bool wide = are_aligned<4>(gradient, value, square, speed, mean);
  launch(stream, "rmsprop", element_grid(stream, weight.numel(), wide, kAtOnce), rmsprop_kernel, coefficients,
         gpu::queue(stream.device()).step_state(), gradient, value, square, speed, mean, weight.numel(), wide);
}

}  // namespace gpucnn::kernels
