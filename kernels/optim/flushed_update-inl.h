// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_FLUSHED_UPDATE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_FLUSHED_UPDATE_INL_H
#undef GPUCNN_KERNELS_FLUSHED_UPDATE_INL_H
#else
#define GPUCNN_KERNELS_FLUSHED_UPDATE_INL_H
#endif

#include <cstddef>

#include <hwy/highway.h>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/kernels/simd/lanes-inl.h>

// Updates of weights while subnormals are flushed, except where a weight would show it.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Not inlined into the function that lifts the flush: a compiler knows nothing of it, and might compute before.
template <class D, class Update>
HWY_NOINLINE void update_apart(D d, std::size_t i, const Update& update) {
  update(d, i);
}

template <class D, class Update>
HWY_NOINLINE void update_exactly(D d, std::size_t i, const Update& update) {
  const KeepSubnormals keep;
  update_apart(d, i, update);
}

/// `for_lanes(count, update)` for a caller that flushes subnormals. Flushing is lifted for weights with a magnitude below
/// `threshold`, unless they are 0 and at rest, as in the padding of an arena. `mean`: null, or the state that is 0 at rest, as the
/// gradient is.
template <class Update>
HWY_INLINE void for_flushed_lanes(std::size_t count, float threshold, const float* weight, const float* dweight, const float* mean,
                                  const Update& update) {
  const auto shows = [=](auto d, std::size_t i) HWY_ATTR {
    const auto zero = hn::Zero(d), w = hn::LoadU(d, weight + i);
    const auto small = hn::Lt(hn::Abs(w), hn::Set(d, threshold));
    if (HWY_LIKELY(hn::AllFalse(d, small))) return false;
    auto rests = hn::And(hn::Eq(w, zero), hn::Eq(hn::LoadU(d, dweight + i), zero));
    if (mean) rests = hn::And(rests, hn::Eq(hn::LoadU(d, mean + i), zero));
    return !hn::AllFalse(d, hn::AndNot(rests, small));
  };
  std::size_t i = 0;
  const auto run = [&](auto d) HWY_ATTR {
    const std::size_t lanes = hn::Lanes(d);
    while (i + lanes <= count) {
      for (; i + lanes <= count && !shows(d, i); i += lanes) update(d, i);  // no call in this loop, which would spill its registers
      if (i + lanes > count) break;
      update_exactly(d, i, update);
      i += lanes;
    }
  };
  run(hn::ScalableTag<float>());
  run(hn::CappedTag<float, 1>());
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
