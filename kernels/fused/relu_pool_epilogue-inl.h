// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_RELU_POOL_EPILOGUE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_RELU_POOL_EPILOGUE_INL_H
#undef GPUCNN_KERNELS_RELU_POOL_EPILOGUE_INL_H
#else
#define GPUCNN_KERNELS_RELU_POOL_EPILOGUE_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/fused/bands.h>
#include <gpucnn/kernels/fused/pooled_conv.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

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

/// Where a pooled pixel goes, and the place of its winner: null where none is wanted.
struct Pooled {
  float* y;
  std::uint8_t* place;

  /// So many elements further on, in y and among the places.
  Pooled after(std::int64_t of_y, std::int64_t of_places) const { return {y + of_y, place ? place + of_places : nullptr}; }
  Pooled after(std::int64_t count) const { return after(count, count); }
};

/// Pixel (i, j) of a band from channel k on.
HWY_INLINE Pooled pooled(const ForwardBand& b, std::int64_t i, std::int64_t j, std::int64_t k) {
  return {b.y + i * b.y_row + j * b.K + k, b.place ? b.place + (i * b.columns + j) * b.K + k : nullptr};
}

/// Stores the maximum `best` of a window's outputs after ReLU, and the winner's place, for the first `count` channels, of which
/// there may be more than lanes. `win1`, `win2`, `win3`: whether that output won over those before.
template <class Mask>
HWY_INLINE void store_pooled(Vector best, Mask win1, Mask win2, Mask win3, std::int64_t count, Pooled to) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const auto nobody = hn::Le(best, hn::Zero(d));
  store_some(d, hn::IfThenZeroElse(nobody, best), count, to.y);  // keeps NaN
  if (!to.place) return;
  auto place = hn::IfThenElseZero(hn::RebindMask(integers, win1), hn::Set(integers, 1));
  place = hn::IfThenElse(hn::RebindMask(integers, win2), hn::Set(integers, 2), place);
  place = hn::IfThenElse(hn::RebindMask(integers, win3), hn::Set(integers, 3), place);
  place = hn::IfThenElse(hn::RebindMask(integers, nobody), hn::Set(integers, 4), place);
  const hn::Rebind<std::uint8_t, Floats> bytes;
  store_some(bytes, hn::DemoteTo(bytes, place), count, to.place);
}

/// Pools the four outputs of a window, in row order: numbers, of which none is NaN.
HWY_INLINE void pool_numbers(Vector o0, Vector o1, Vector o2, Vector o3, std::int64_t count, Pooled to) {
  if (!to.place) {
    const Vector best = hn::Max(hn::Max(o0, o1), hn::Max(o2, o3));
    return store_some(Floats(), hn::Max(best, hn::Zero(Floats())), count, to.y);
  }
  const Vector best1 = hn::Max(o0, o1), best2 = hn::Max(best1, o2), best = hn::Max(best2, o3);
  store_pooled(best, hn::Gt(o1, o0), hn::Gt(o2, best1), hn::Gt(o3, best2), count, to);
}

/// The same where NaN may be among them, which wins, and the last of several.
HWY_INLINE void pool_outputs(Vector o0, Vector o1, Vector o2, Vector o3, std::int64_t count, Pooled to) {
  const auto wins = [](Vector value, Vector best) HWY_ATTR { return hn::Or(hn::Gt(value, best), hn::IsNaN(value)); };
  const auto win1 = wins(o1, o0);
  Vector best = hn::IfThenElse(win1, o1, o0);
  const auto win2 = wins(o2, best);
  best = hn::IfThenElse(win2, o2, best);
  const auto win3 = wins(o3, best);
  best = hn::IfThenElse(win3, o3, best);
  store_pooled(best, win1, win2, win3, count, to);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
