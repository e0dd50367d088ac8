#include <gpucnn/kernels/muon/muon.h>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/muon/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;

/// PyTorch's lerp, from the nearer end; `rest` is 1 - weight.
__device__ float lerp(float from, float to, float weight, float rest) {
  return weight < 0.5F ? fmaf(weight, to - from, from) : fmaf(-rest, to - from, to);
}

template <int kWidth>
struct Gradients {
  Lanes<float, kWidth> dweight, buffer;
};

/// A captured step reads `state`, which is null otherwise.
__global__ void __launch_bounds__(kThreads)
    direction_kernel(double momentum, bool nesterov, int group, const StepState* state, const float* dweight, float* buffer,
                     float* direction, std::int64_t count, bool wide) {
  if (state) {
    if (state->failed) return;
    momentum = state->momentum[group];
  }
  const auto kept = static_cast<float>(momentum), rest = static_cast<float>(1 - momentum);
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        return Gradients<width>{load<width>(dweight + i), load<width>(buffer + i)};
      },
      [=]<int kWidth>(std::int64_t i, Gradients<kWidth> e) {
        Lanes<float, kWidth> ahead;
        for (int k = 0; k < kWidth; ++k) {
          float& u = e.buffer.at[k];
          u = lerp(u, e.dweight.at[k], rest, kept);
          ahead.at[k] = nesterov ? lerp(e.dweight.at[k], u, kept, rest) : u;
        }
        store(e.buffer, buffer + i);
        store(ahead, direction + i);
      });
}

template <int kWidth>
struct Weights {
  Lanes<float, kWidth> direction, weight;
};

__global__ void __launch_bounds__(kThreads)
    update_kernel(MuonStep s, const StepState* state, const float* direction, float* weight, std::int64_t count, bool wide) {
  if (state) {
    if (state->failed) return;
    s.lr = state->lr[s.group];
  }
  const auto shrink = static_cast<float>(1 - s.lr * s.weight_decay), rate = static_cast<float>(s.lr * s.lr_ratio);
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        return Weights<width>{load<width>(direction + i), load<width>(weight + i)};
      },
      [=]<int kWidth>(std::int64_t i, Weights<kWidth> e) {
        for (int k = 0; k < kWidth; ++k) e.weight.at[k] = fmaf(shrink, e.weight.at[k], -(rate * e.direction.at[k]));
        store(e.weight, weight + i);
      });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::muon_direction(const Tensor& dweight, const MuonStep& step, Tensor& momentum_buffer, Tensor& direction, Stream& stream) {
  const float* gradient = dweight.device_data<float>();
  float* buffer = momentum_buffer.device_data<float>();
  float* to = direction.device_data<float>();
  const bool wide = are_aligned<4>(gradient, buffer, to);
  launch(stream, "muon_direction", element_grid(stream, dweight.numel(), wide, kAtOnce), direction_kernel, step.momentum,
         step.nesterov, step.group, gpu::queue(stream.device()).step_state(), gradient, buffer, to, dweight.numel(), wide);
}

void cuda::muon_update(const Tensor& direction, const MuonStep& step, Tensor& weight, Stream& stream) {
  const float* from = direction.device_data<float>();
  float* value = weight.device_data<float>();
  const bool wide = are_aligned<4>(from, value);
  launch(stream, "muon_update", element_grid(stream, weight.numel(), wide, kAtOnce), update_kernel, step,
         gpu::queue(stream.device()).step_state(), from, value, weight.numel(), wide);
}

}  // namespace gpucnn::kernels
