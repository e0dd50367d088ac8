#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/activation/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/activation/activation_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/activation/functors_cpu-inl.h>
#include <gpucnn/kernels/simd/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void activation_range(const Activation& function, const float* x, float* y, std::size_t count) {
  with_functor(function, [=](const auto& functor) HWY_ATTR {
    for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR { hn::StoreU(functor.forward(d, hn::LoadU(d, x + i)), d, y + i); });
  });
}

void activation_backward_range(const Activation& function, const float* kept, const float* dy, float* dx, std::size_t count) {
  with_functor(function, [=](const auto& functor) HWY_ATTR {
    for_lanes(count, [=](auto d, std::size_t i)
                         HWY_ATTR { hn::StoreU(functor.backward(d, hn::LoadU(d, kept + i), hn::LoadU(d, dy + i)), d, dx + i); });
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(activation_range);
HWY_EXPORT(activation_backward_range);

namespace {
constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
}

void cpu::activation(const Tensor& x, const Activation& function, Tensor& y, Stream&) {
  const float* from = x.data<float>();
  float* to = y.data<float>();
  parallel_ranges(x.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(activation_range)(function, from + first, to + first, static_cast<std::size_t>(last - first));
  });
}

void cpu::activation_backward(const Tensor& kept, const Activation& function, const Tensor& dy, Tensor& dx, Stream&) {
  const float *values = kept.data<float>(), *from = dy.data<float>();
  float* to = dx.data<float>();
  parallel_ranges(kept.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(activation_backward_range)
    (function, values + first, from + first, to + first, static_cast<std::size_t>(last - first));
  });
}

void cpu::activation_block(const Activation& function, float* y, std::int64_t count) {
  if (function.kind == Activation::none) return;
  HWY_DYNAMIC_DISPATCH(activation_range)(function, y, y, static_cast<std::size_t>(count));
}

void cpu::activation_backward_block(const Activation& function, const float* kept, float* dx, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(activation_backward_range)(function, kept, dx, dx, static_cast<std::size_t>(count));
}

bool activation_backward_reads_y(const Activation& function) noexcept {
  // The functors of every instruction set say the same.
  return HWY_NAMESPACE::with_functor(function, [](const auto& functor) { return functor.backward_reads_y(); });
}

bool activation_has_exponential(const Activation& function) noexcept {
  return HWY_NAMESPACE::with_functor(function, []<class Functor>(const Functor&) {
    return requires { Functor::kHasExponential; };
  });
}

}  // namespace gpucnn::kernels
#endif
