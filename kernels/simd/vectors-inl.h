// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_VECTORS_INL_H
#undef GPUCNN_KERNELS_VECTORS_INL_H
#else
#define GPUCNN_KERNELS_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <gpucnn/kernels/simd/vector_size.h>

// For kernels that keep sums in registers: vectors of a size that the compiler knows.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, cpu::kVector>;
using Vector = hn::Vec<Floats>;
constexpr int kLanes = hn::MaxLanes(Floats());

/// Whether vectors, and with them registers, are those of AVX-512: 32, and 16 elsewhere.
constexpr bool kWide = kLanes == cpu::kVector;

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
