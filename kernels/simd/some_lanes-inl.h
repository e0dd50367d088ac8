// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_SOME_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_SOME_LANES_INL_H
#undef GPUCNN_KERNELS_SOME_LANES_INL_H
#else
#define GPUCNN_KERNELS_SOME_LANES_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/simd/vectors-inl.h>

// The first lanes of a vector. Before AVX Highway's masked loads and stores touch the memory of all of them.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// The first `count` lanes of a vector, 0 behind them.
HWY_INLINE Vector load_some(const float* from, std::int64_t count) {
  const Floats d;
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, from);
#else
  HWY_ALIGN float lanes[kLanes] = {};
  std::copy_n(from, count, lanes);
  return hn::Load(d, lanes);
#endif
}

/// Writes the first `count` lanes; all if there are no more.
HWY_INLINE void store_some(Vector v, std::int64_t count, float* to) {
  const Floats d;
  if (count >= kLanes) return hn::StoreU(v, d, to);
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(count)), d, to);
#else
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  std::copy_n(lanes, count, to);
#endif
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
