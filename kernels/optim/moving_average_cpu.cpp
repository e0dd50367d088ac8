#include <algorithm>
#include <type_traits>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/optim/average_formula.h>
#include <gpucnn/kernels/optim/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/optim/moving_average_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// PyTorch's lerp goes from the nearer end, so that decay = 0 gives x exactly.
void average_range(AverageWeights w, const float* x, float* average, std::size_t count) {
  const bool from_average = w.taken < 0.5F;
  const float factor = from_average ? w.taken : w.taken - 1;  // times x - average, added to the nearer end
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto value = hn::LoadU(d, x + i), mean = hn::LoadU(d, average + i);
    hn::StoreU(hn::MulAdd(hn::Set(d, factor), hn::Sub(value, mean), from_average ? mean : value), d, average + i);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(average_range);

void cpu::moving_average(const Tensor& x, double decay, const Tensor& n_averaged, Tensor& average, Stream&) {
  constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
  const bool copies = *n_averaged.data<std::int64_t>() == 0;
  const AverageWeights weights(decay);
  with_averaged_type(x.dtype(), [&]<class T>(T) {
    const T* from = x.data<T>();
    T* to = average.rewrite<T>();
    parallel_ranges(x.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
      if (copies) return static_cast<void>(std::copy(from + first, from + last, to + first));
      if constexpr (std::is_same_v<T, float>) {
        HWY_DYNAMIC_DISPATCH(average_range)(weights, from + first, to + first, static_cast<std::size_t>(last - first));
      } else {
        for (std::int64_t i = first; i < last; ++i) to[i] = averaged(weights, to[i], from[i]);
      }
    });
  });
}

void cpu::count_average(Tensor& n_averaged, Stream&) { ++*n_averaged.data<std::int64_t>(); }

}  // namespace gpucnn::kernels
#endif
