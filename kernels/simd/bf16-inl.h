// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_BF16_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_BF16_INL_H
#undef GPUCNN_KERNELS_BF16_INL_H
#else
#define GPUCNN_KERNELS_BF16_INL_H
#endif

#include <cstdint>

#include <gpucnn/kernels/simd/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// The numbers of bf16 that `to_bf16` gives, as floats. A processor's own conversion would lose subnormal numbers.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V nearest_bf16(D d, V x) {
  const hn::RebindToUnsigned<D> words;
  const auto bits = hn::BitCast(words, x), upper = hn::Set(words, 0xFFFF0000U);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1U));
  const auto nearest = hn::Add(hn::Add(bits, hn::Set(words, 0x7FFFU)), odd);
  const auto quiet = hn::Or(bits, hn::Set(words, 0x400000U));
  return hn::BitCast(d, hn::And(hn::IfThenElse(hn::RebindMask(words, hn::IsNaN(x)), quiet, nearest), upper));
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
