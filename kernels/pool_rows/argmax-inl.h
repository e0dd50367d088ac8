// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_ARGMAX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_ARGMAX_INL_H
#undef GPUCNN_KERNELS_ARGMAX_INL_H
#else
#define GPUCNN_KERNELS_ARGMAX_INL_H
#endif

#include <cstdint>

#include <hwy/highway.h>

// A window's argmax, for a vector of channels: as i32 in registers, as u8 or i32 in memory.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
using Indices = hn::Rebind<std::int32_t, D>;

template <class D>
HWY_INLINE void store_indices(D, hn::Vec<Indices<D>> indices, std::uint8_t* argmax) {
  const hn::Rebind<std::uint8_t, D> bytes;
  hn::StoreU(hn::DemoteTo(bytes, indices), bytes, argmax);
}

template <class D>
HWY_INLINE void store_indices(D, hn::Vec<Indices<D>> indices, std::int32_t* argmax) {
  hn::StoreU(indices, Indices<D>(), argmax);
}

template <class D>
HWY_INLINE hn::Vec<Indices<D>> load_indices(D, const std::uint8_t* argmax) {
  return hn::PromoteTo(Indices<D>(), hn::LoadU(hn::Rebind<std::uint8_t, D>(), argmax));
}

template <class D>
HWY_INLINE hn::Vec<Indices<D>> load_indices(D, const std::int32_t* argmax) {
  return hn::LoadU(Indices<D>(), argmax);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
