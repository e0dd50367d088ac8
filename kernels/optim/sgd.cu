#include <gpucnn/kernels/optim/sgd.h>

#include <cmath>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;

struct Coefficients {
  float decay, momentum, rest, lr;
  bool nesterov, first;
  int group;
  bool maximize;
};

template <int kWidth>
struct Elements {
  Lanes<float, kWidth> dweight, weight, velocity;
};

/// A captured step reads `state`, which is null otherwise.
__global__ void __launch_bounds__(kThreads) sgd_kernel(Coefficients s, const StepState* state, const float* dweight, float* weight,
                                                       float* velocity, std::int64_t count, bool wide) {
  if (state) {
    if (state->failed) return;
    s.lr = static_cast<float>(state->lr[s.group]);
    if (velocity) s.momentum = static_cast<float>(state->momentum[s.group]);
    s.first = s.first && state->updates == 0;
  }
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        Elements<width> read{load<width>(dweight + i), load<width>(weight + i)};
        // A first velocity is not read: it may be anything, even NaN.
        if (s.momentum != 0 && !s.first) read.velocity = load<width>(velocity + i);
        return read;
      },
      [=]<int kWidth>(std::int64_t i, Elements<kWidth> e) {
        for (int k = 0; k < kWidth; ++k) {
          float& w = e.weight.at[k];
          float& u = e.velocity.at[k];
          const float g = fmaf(s.decay, w, s.maximize ? -e.dweight.at[k] : e.dweight.at[k]);
          float direction = g;
          if (s.momentum != 0) {
            u = s.first ? g : fmaf(s.rest, g, s.momentum * u);
            direction = s.nesterov ? fmaf(s.momentum, u, g) : u;
          }
          w = fmaf(-s.lr, direction, w);
        }
        if (s.momentum != 0) store(e.velocity, velocity + i);
        store(e.weight, weight + i);
      });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity, Stream& stream) {
  const Coefficients coefficients{.decay = static_cast<float>(step.weight_decay),
                                  .momentum = static_cast<float>(step.momentum),
                                  .rest = static_cast<float>(1 - step.dampening),
                                  .lr = static_cast<float>(step.lr),
                                  .nesterov = step.nesterov,
                                  .first = step.first,
                                  .group = step.group,
                                  .maximize = step.maximize};
  const float* gradient = dweight.device_data<float>();
  float* value = weight.device_data<float>();
  const StepState* state = gpu::queue(stream.device()).step_state();
  const bool has_velocity = step.momentum != 0 || (state && velocity.defined());  // a later replay may have a momentum
  float* speed = has_velocity ? velocity.device_data<float>() : nullptr;
  const bool wide = are_aligned<4>(gradient, value, speed);
  launch(stream, "sgd", element_grid(stream, weight.numel(), wide, kAtOnce), sgd_kernel, coefficients, state, gradient, value,
         speed, weight.numel(), wide);
}

}  // namespace gpucnn::kernels
