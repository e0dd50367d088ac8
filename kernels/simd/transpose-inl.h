// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_TRANSPOSE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_TRANSPOSE_INL_H
#undef GPUCNN_KERNELS_TRANSPOSE_INL_H
#else
#define GPUCNN_KERNELS_TRANSPOSE_INL_H
#endif

#include <cstdint>

#include <gpucnn/kernels/simd/vectors-inl.h>

// The transpose of a square of a matrix, in registers.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
/// kLanes columns of kLanes rows, from column i on. Vector t has column i + t of each row.
HWY_INLINE void transpose_lanes(const float* const (&rows)[1], std::int64_t i, Vector (&columns)[1]) {
  columns[0] = hn::LoadU(Floats(), rows[0] + i);
}
#else
/// Four columns of every fourth row, from column i of *row on, side by side.
template <class D>
HWY_INLINE hn::Vec<D> load_fours(D d, const float* const* row, std::int64_t i) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, *row + i);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_fours(half, row + hn::MaxLanes(D()) / 2, i), load_fours(half, row, i));
  }
}

/// kLanes columns of kLanes rows, from column i on. Vector t has column i + t of each row.
HWY_INLINE void transpose_lanes(const float* const (&rows)[kLanes], std::int64_t i, Vector (&columns)[kLanes]) {
  const Floats d;
  const hn::Repartition<std::uint64_t, Floats> pairs;
#pragma GCC unroll 4
  for (int t = 0; t < kLanes; t += 4) {
    const Vector a = load_fours(d, rows, i + t), b = load_fours(d, rows + 1, i + t);
    const Vector c = load_fours(d, rows + 2, i + t), e = load_fours(d, rows + 3, i + t);
    const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b)),
               ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
    const auto ce_low = hn::BitCast(pairs, hn::InterleaveLower(d, c, e)),
               ce_high = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
    columns[t] = hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ce_low));
    columns[t + 1] = hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ce_low));
    columns[t + 2] = hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high));
    columns[t + 3] = hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high));
  }
}
#endif

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
