#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/optim/average_formula.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kAtOnce = 1;

template <class T, int kWidth>
struct Pair {
  Lanes<T, kWidth> x, average;
};

/// PyTorch's lerp goes from the nearer end, so that decay = 0 gives x exactly.
__device__ float averaged(AverageWeights w, float average, float x) {
  return w.taken < 0.5F ? fmaf(w.taken, x - average, average) : fmaf(w.taken - 1, x - average, x);
}

/// `state`: of a captured step, or null.
template <class T>
__global__ void __launch_bounds__(kThreads)
    average_kernel(AverageWeights weights, const StepState* state, const std::int64_t* n_averaged, const T* x, T* average,
                   std::int64_t count, bool wide) {
  if (state && state->failed) return;
  const bool copies = *n_averaged == 0;
  for_elements<kAtOnce>(
      count, wide,
      [=](auto width, std::int64_t i) {
        return Pair<T, width>{load<width>(x + i), load<width>(average + i)};
      },
      [=]<int kWidth>(std::int64_t i, Pair<T, kWidth> pair) {
        for (int k = 0; k < kWidth; ++k) {
          T& mean = pair.average.at[k];
          mean = copies ? pair.x.at[k] : averaged(weights, mean, pair.x.at[k]);
        }
        store(pair.average, average + i);
      });
}

__global__ void __launch_bounds__(1) count_kernel(const StepState* state, std::int64_t* n_averaged) {
  if (state && state->failed) return;
  ++*n_averaged;
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::moving_average(const Tensor& x, double decay, const Tensor& n_averaged, Tensor& average, Stream& stream) {
  const StepState* state = gpu::queue(stream.device()).step_state();
  const AverageWeights weights(decay);
  with_averaged_type(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = average.device_data<T>();
    const bool wide = sizeof(T) <= 4 && are_aligned<4>(from, to);
    launch(stream, "moving_average", element_grid(stream, x.numel(), wide, kAtOnce), average_kernel<T>, weights, state,
           n_averaged.device_data<std::int64_t>(), from, to, x.numel(), wide);
  });
}

void cuda::count_average(Tensor& n_averaged, Stream& stream) {
  launch(stream, "count_average", {1, 1}, count_kernel, gpu::queue(stream.device()).step_state(),
         n_averaged.device_data<std::int64_t>());
}

}  // namespace gpucnn::kernels
