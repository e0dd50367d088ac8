#include <gpucnn/kernels/optim/adam.h>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/step_tail.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/optim/adam_tail.h>
#include <gpucnn/kernels/optim/adam_update.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;

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
__device__ void update(const AdamCoefficients& s, const float* dweight, float* weight, float* m, float* v, float* max_v,
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
          float* max_square = nullptr;
          if constexpr (kAmsgrad) max_square = &e.max_v.at[k];
          s.update(e.dweight.at[k], e.weight.at[k], e.m.at[k], e.v.at[k], max_square);
        }
        if constexpr (kAmsgrad) store(e.max_v, max_v + i);
        store(e.m, m + i);
        store(e.v, v + i);
        store(e.weight, weight + i);
      });
}

template <bool kAmsgrad>
__global__ void __launch_bounds__(kThreads, kAmsgrad ? 4 : 0)
    adam_kernel(AdamCoefficients s, const float* dweight, float* weight, float* m, float* v, float* max_v, std::int64_t count,
                bool wide) {
  update<kAmsgrad>(s, dweight, weight, m, v, max_v, count, wide);
}

/// The same in a captured step, whose number, learning rate and beta1 are those of the StepState.
template <bool kAmsgrad>
__global__ void __launch_bounds__(kThreads, kAmsgrad ? 4 : 0)
    adam_captured_kernel(AdamStep s, const StepState* state, const float* dweight, float* weight, float* m, float* v, float* max_v,
                         std::int64_t count, bool wide) {
  if (state->failed) return;
  GPUCNN_SHARED(AdamCoefficients, shared, 1);
  if (threadIdx.x == 0) {
    s.lr = state->lr[s.group];
    s.beta1 = state->momentum[s.group];
    s.step += state->updates;
    shared[0] = AdamCoefficients::of(s);
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
    if (StepTail* const tail = StepTail::open()) {
      if (step.is_whole && !largest) return adam_tail(dweight, step, weight, m, v, *tail, stream);
      tail->flush(stream);
    }
    launch(stream, "adam", shape, largest ? adam_captured_kernel<true> : adam_captured_kernel<false>, step, state, gradient, value,
           mean, square, largest, count, wide);
  } else {
    launch(stream, "adam", shape, largest ? adam_kernel<true> : adam_kernel<false>, AdamCoefficients::of(step), gradient, value,
           mean, square, largest, count, wide);
  }
}

}  // namespace gpucnn::kernels
