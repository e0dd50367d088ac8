#include <algorithm>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/optim/average_formula.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels {

void cpu::moving_average(const Tensor& x, double decay, const Tensor& n_averaged, Tensor& average, Stream&) {
  constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
  const bool copies = *n_averaged.data<std::int64_t>() == 0;
  const AverageWeights weights(decay);
  with_averaged_type(x.dtype(), [&]<class T>(T) {
    const T* from = x.data<T>();
    T* to = average.data<T>();
    parallel_ranges(x.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
      if (copies) return static_cast<void>(std::copy(from + first, from + last, to + first));
      for (std::int64_t i = first; i < last; ++i) to[i] = averaged(weights, to[i], from[i]);
    });
  });
}

void cpu::count_average(Tensor& n_averaged, Stream&) { ++*n_averaged.data<std::int64_t>(); }

}  // namespace gpucnn::kernels
