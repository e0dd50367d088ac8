#include <gpucnn/kernels/optim/adam.h>

#include <cmath>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;

/// What is the same for all elements.
struct Coefficients {
  float decay, beta1, rest1, beta2, rest2, rate, correction, eps, shrink;
  bool maximize;
};

__host__ __device__ Coefficients coefficients_of(const AdamStep& s) {
  const auto step = static_cast<double>(s.step);
  return {.decay = s.decoupled ? 0.0F : static_cast<float>(s.weight_decay),
          .beta1 = static_cast<float>(s.beta1),
          .rest1 = static_cast<float>(1 - s.beta1),
          .beta2 = static_cast<float>(s.beta2),
          .rest2 = static_cast<float>(1 - s.beta2),
          .rate = static_cast<float>(s.lr / (1 - std::pow(s.beta1, step))),
          .correction = static_cast<float>(std::sqrt(1 - std::pow(s.beta2, step))),
          .eps = static_cast<float>(s.eps),
          .shrink = s.decoupled ? static_cast<float>(1 - s.lr * s.weight_decay) : 1.0F,
          .maximize = s.maximize};
}

template <int kWidth, bool kAmsgrad>
struct Elements {
  Lanes<float, kWidth> dweight, weight, m, v;
};
template <int kWidth>
struct Elements<kWidth, true> : Elements<kWidth, false> {
  Lanes<float, kWidth> max_v;
};

/// Without AMSGrad `max_v` is null.
template <bool kAmsgrad>
__device__ void update(const Coefficients& s, const float* dweight, float* weight, float* m, float* v, float* max_v,
                       std::int64_t count, bool wide) {
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        const Elements<width, false> read{load<width>(dweight + i), load<width>(weight + i), load<width>(m + i),
                                          load<width>(v + i)};
        if constexpr (kAmsgrad) {
          return Elements<width, true>{read, load<width>(max_v + i)};
        } else {
          return read;
        }
      },
      [=]<int kWidth>(std::int64_t i, Elements<kWidth, kAmsgrad> e) {
        for (int k = 0; k < kWidth; ++k) {
          float& w = e.weight.at[k];
          float& mean = e.m.at[k];
          float& square = e.v.at[k];
          const float g = fmaf(s.decay, w, s.maximize ? -e.dweight.at[k] : e.dweight.at[k]);
          // PyTorch's lerp goes from the nearer end, so that beta1 = 0 gives m = g exactly.
          mean = s.rest1 < 0.5F ? fmaf(s.rest1, g - mean, mean) : fmaf(-s.beta1, g - mean, g);
          square = fmaf(s.rest2 * g, g, s.beta2 * square);
          float largest = square;
          if constexpr (kAmsgrad) {
            largest = square < e.max_v.at[k] ? e.max_v.at[k] : square;  // the square where that is NaN
            e.max_v.at[k] = largest;
          }
          w = fmaf(s.shrink, w, -(s.rate * mean / (std::sqrt(largest) / s.correction + s.eps)));
        }
        if constexpr (kAmsgrad) store(e.max_v, max_v + i);
        store(e.m, m + i);
        store(e.v, v + i);
        store(e.weight, weight + i);
      });
}

template <bool kAmsgrad>
__global__ void __launch_bounds__(kThreads, kAmsgrad ? 4 : 0)
    adam_kernel(Coefficients s, const float* dweight, float* weight, float* m, float* v, float* max_v, std::int64_t count,
                bool wide) {
  update<kAmsgrad>(s, dweight, weight, m, v, max_v, count, wide);
}

/// The same in a captured step, whose number, learning rate and beta1 are those of the StepState.
template <bool kAmsgrad>
__global__ void __launch_bounds__(kThreads, kAmsgrad ? 4 : 0)
    adam_captured_kernel(AdamStep s, const StepState* state, const float* dweight, float* weight, float* m, float* v, float* max_v,
                         std::int64_t count, bool wide) {
  if (state->failed) return;
  GPUCNN_SHARED(Coefficients, shared, 1);
  if (threadIdx.x == 0) {
    s.lr = state->lr[s.group];
    s.beta1 = state->momentum[s.group];
    s.step += state->updates;
    shared[0] = coefficients_of(s);
  }
  __syncthreads();
  update<kAmsgrad>(shared[0], dweight, weight, m, v, max_v, count, wide);
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Tensor& max_v, Stream& stream) {
  const float* gradient = dweight.device_data<float>();
  float* value = weight.device_data<float>();
  float* mean = m.device_data<float>();
  float* square = v.device_data<float>();
  float* largest = max_v.defined() ? max_v.device_data<float>() : nullptr;
  const std::int64_t count = weight.numel();
  const bool wide = are_aligned<4>(gradient, value, mean, square, largest);
  const LaunchShape shape = element_grid(stream, count, wide, kAtOnce);
  if (const StepState* state = gpu::queue(stream.device()).step_state()) {
    launch(stream, "adam", shape, largest ? adam_captured_kernel<true> : adam_captured_kernel<false>, step, state, gradient, value,
           mean, square, largest, count, wide);
  } else {
    launch(stream, "adam", shape, largest ? adam_kernel<true> : adam_kernel<false>, coefficients_of(step), gradient, value, mean,
           square, largest, count, wide);
  }
}

}  // namespace gpucnn::kernels
