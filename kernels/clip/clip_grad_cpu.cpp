#include <algorithm>
#include <array>
#include <type_traits>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/clip/norm_formula.h>
#include <gpucnn/kernels/clip/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/clip/clip_grad_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// `norm.join(total, norm.term(x))` in each lane.
template <class D, class V>
HWY_INLINE V joined(D, const Squares&, V total, V x) {
  return hn::MulAdd(x, x, total);
}
template <class D, class V>
HWY_INLINE V joined(D, const Magnitudes&, V total, V x) {
  return hn::Add(total, hn::Abs(x));
}
template <class D, class V>
HWY_INLINE V joined(D, const Largest&, V total, V x) {
  const V size = hn::Abs(x);
  return hn::IfThenElse(hn::Or(hn::Gt(size, total), hn::IsNaN(size)), size, total);
}

template <class Norm>
HWY_INLINE double total_of(const Norm& norm, const float* x, std::size_t count) {
  double total = 0;
  std::size_t i = 0;
  if constexpr (!std::is_same_v<Norm, Powers>) {
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> narrow;
    const std::size_t lanes = hn::Lanes(d);
    auto a = hn::Zero(d), b = hn::Zero(d);  // two, so that an addition need not wait for the one before
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
      a = joined(d, norm, a, hn::PromoteTo(d, hn::LoadU(narrow, x + i)));
      b = joined(d, norm, b, hn::PromoteTo(d, hn::LoadU(narrow, x + i + lanes)));
    }
    HWY_ALIGN double parts[2 * hn::MaxLanes(d)];
    hn::Store(a, d, parts);
    hn::StoreU(b, d, parts + lanes);
    for (std::size_t k = 0; k < 2 * lanes; ++k) total = norm.join(total, parts[k]);
  }
  for (; i < count; ++i) total = norm.join(total, norm.term(static_cast<double>(x[i])));
  return total;
}

double norm_range(double norm_type, const float* x, std::size_t count) {
  double total = 0;
  with_norm(norm_type, [&](const auto& norm) HWY_ATTR { total = total_of(norm, x, count); });
  return total;
}

void scale_range(float factor, float* x, std::size_t count) {
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR { hn::StoreU(hn::Mul(hn::Set(d, factor), hn::LoadU(d, x + i)), d, x + i); });
}

void clamp_range(float limit, float* x, std::size_t count) {
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto low = hn::Set(d, -limit), high = hn::Set(d, limit), value = hn::LoadU(d, x + i);
    const auto raised = hn::IfThenElse(hn::Lt(value, low), low, value);
    hn::StoreU(hn::IfThenElse(hn::Gt(raised, high), high, raised), d, x + i);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(norm_range);
HWY_EXPORT(scale_range);
HWY_EXPORT(clamp_range);

namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task, or more
constexpr std::int64_t kMaxTasks = 64;

}  // namespace

void cpu::vector_norm(const Tensor& x, double norm_type, Tensor& norm, Stream&) {
  const std::int64_t count = x.numel(), grain = std::max((count + kMaxTasks - 1) / kMaxTasks, kGrain);
  const float* from = x.data<float>();
  std::array<double, kMaxTasks> parts{};
  parallel_ranges(count, grain, [&](std::int64_t first, std::int64_t last) {
    parts[static_cast<std::size_t>(first / grain)] =
        HWY_DYNAMIC_DISPATCH(norm_range)(norm_type, from + first, static_cast<std::size_t>(last - first));
  });
  with_norm(norm_type, [&](const auto& formula) {
    double all = 0;
    for (const double part : parts) all = formula.join(all, part);
    *norm.data<float>() = static_cast<float>(formula.root(all));
  });
}

void cpu::clip_by_norm(const Tensor& total_norm, float max_norm, Tensor& gradient, Stream&) {
  const float coefficient = clip_coefficient(*total_norm.data<float>(), max_norm);
  if (coefficient == 1) return;
  float* values = gradient.data<float>();
  parallel_ranges(gradient.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(scale_range)(coefficient, values + first, static_cast<std::size_t>(last - first));
  });
}

void cpu::clip_by_value(float clip_value, Tensor& gradient, Stream&) {
  float* values = gradient.data<float>();
  parallel_ranges(gradient.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(clamp_range)(clip_value, values + first, static_cast<std::size_t>(last - first));
  });
}

}  // namespace gpucnn::kernels
#endif
