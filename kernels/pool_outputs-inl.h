// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_POOL_OUTPUTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_POOL_OUTPUTS_INL_H
#undef GPUCNN_KERNELS_POOL_OUTPUTS_INL_H
#else
#define GPUCNN_KERNELS_POOL_OUTPUTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/conv2d_relu_pool_cpu.h>
#include <gpucnn/kernels/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Stores the first `count` lanes, of which there may be more than lanes.
template <class D, class T>
HWY_INLINE void store_some(D d, hn::Vec<D> values, std::int64_t count, T* to) {
  if (count >= kLanes) return hn::StoreU(values, d, to);
  HWY_ALIGN T some[kLanes];
  hn::Store(values, d, some);
  std::copy_n(some, count, to);
}

/// Pools the four outputs of a window, in row order, applies ReLU, and stores the first `count` channels, of which there may be
/// more than lanes; places are null where none are wanted.
HWY_INLINE void pool_outputs(Vector o0, Vector o1, Vector o2, Vector o3, std::int64_t count, float* y, std::uint8_t* places) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const auto wins = [](Vector value, Vector best) HWY_ATTR { return hn::Or(hn::Gt(value, best), hn::IsNaN(value)); };
  const auto win1 = wins(o1, o0);
  Vector best = hn::IfThenElse(win1, o1, o0);
  const auto win2 = wins(o2, best);
  best = hn::IfThenElse(win2, o2, best);
  const auto win3 = wins(o3, best);
  best = hn::IfThenElse(win3, o3, best);
  store_some(d, hn::IfThenZeroElse(hn::Lt(best, hn::Zero(d)), best), count, y);  // keeps NaN
  if (!places) return;
  auto place = hn::IfThenElseZero(hn::RebindMask(integers, win1), hn::Set(integers, 1));
  place = hn::IfThenElse(hn::RebindMask(integers, win2), hn::Set(integers, 2), place);
  place = hn::IfThenElse(hn::RebindMask(integers, win3), hn::Set(integers, 3), place);
  place = hn::IfThenElse(hn::RebindMask(integers, hn::Le(best, hn::Zero(d))), hn::Set(integers, 4), place);
  const hn::Rebind<std::uint8_t, Floats> bytes;
  store_some(bytes, hn::DemoteTo(bytes, place), count, places);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
