// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_LANES_INL_H
#undef GPUCNN_KERNELS_LANES_INL_H
#else
#define GPUCNN_KERNELS_LANES_INL_H
#endif

#include <cstddef>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Calls `body(d, i)` for the elements [0, count): `d` is the tag of a whole float vector that starts at element `i`. Behind the
/// last whole vector it is the tag of a single float.
template <class Body>
HWY_INLINE void for_lanes(std::size_t count, const Body& body) {
  const hn::ScalableTag<float> vector;
  const std::size_t lanes = hn::Lanes(vector);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) body(vector, i);
  const hn::CappedTag<float, 1> single;
  for (; i < count; ++i) body(single, i);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
