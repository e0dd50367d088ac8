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

// The epilogue of the fused convolution: ReLU and 2x2 max pooling of outputs that are still in registers.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Stores the first `count` lanes; `count` may be larger than the vector.
template <class D, class T>
HWY_INLINE void store_some(D d, hn::Vec<D> values, std::int64_t count, T* to) {
  if (count >= kLanes) return hn::StoreU(values, d, to);
  HWY_ALIGN T some[kLanes];
  hn::Store(values, d, some);
  std::copy_n(some, count, to);
}

/// The outputs of a pooled pixel. argmax is null where it is not wanted.
struct Pooled {
  float* y;
  std::uint8_t* argmax;

  /// The outputs at these offsets from here.
  Pooled after(std::int64_t y_offset, std::int64_t argmax_offset) const {
    return {y + y_offset, argmax ? argmax + argmax_offset : nullptr};
  }
  Pooled after(std::int64_t count) const { return after(count, count); }
};

/// Pixel (i, j) of a band from channel k on.
HWY_INLINE Pooled pooled(const ForwardBand& b, std::int64_t i, std::int64_t j, std::int64_t k) {
  return {b.y + i * b.y_row + j * b.K + k, b.argmax ? b.argmax + (i * b.columns + j) * b.K + k : nullptr};
}

/// Stores the maximum `best` of a window's outputs after ReLU, and its argmax, for the first `count` channels; `count` may be
/// larger than the vector. `win1`, `win2`, `win3`: whether that output won over those before.
template <class Mask>
HWY_INLINE void store_pooled(Vector best, Mask win1, Mask win2, Mask win3, std::int64_t count, Pooled to) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const auto no_winner = hn::Le(best, hn::Zero(d));
  store_some(d, hn::IfThenZeroElse(no_winner, best), count, to.y);  // keeps NaN
  if (!to.argmax) return;
  auto argmax = hn::IfThenElseZero(hn::RebindMask(integers, win1), hn::Set(integers, 1));
  argmax = hn::IfThenElse(hn::RebindMask(integers, win2), hn::Set(integers, 2), argmax);
  argmax = hn::IfThenElse(hn::RebindMask(integers, win3), hn::Set(integers, 3), argmax);
  argmax = hn::IfThenElse(hn::RebindMask(integers, no_winner), hn::Set(integers, cpu::kNoWinner), argmax);
  const hn::Rebind<std::uint8_t, Floats> bytes;
  store_some(bytes, hn::DemoteTo(bytes, argmax), count, to.argmax);
}

/// Pools the four outputs of a window, in row order. None of them is NaN.
HWY_INLINE void pool_numbers(Vector o0, Vector o1, Vector o2, Vector o3, std::int64_t count, Pooled to) {
  if (!to.argmax) {
    const Vector best = hn::Max(hn::Max(o0, o1), hn::Max(o2, o3));
    return store_some(Floats(), hn::Max(best, hn::Zero(Floats())), count, to.y);
  }
  const Vector best1 = hn::Max(o0, o1), best2 = hn::Max(best1, o2), best = hn::Max(best2, o3);
  store_pooled(best, hn::Gt(o1, o0), hn::Gt(o2, best1), hn::Gt(o3, best2), count, to);
}

/// The same for outputs that may be NaN. A NaN wins, and of several the last.
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
