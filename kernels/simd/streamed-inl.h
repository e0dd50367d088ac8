// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_STREAMED_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_STREAMED_INL_H
#undef GPUCNN_KERNELS_STREAMED_INL_H
#else
#define GPUCNN_KERNELS_STREAMED_INL_H
#endif

#include <type_traits>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <gpucnn/kernels/simd/streamed.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Stores a vector, past the caches if kStreamed: where `cpu::is_streamed` says so.
template <bool kStreamed, class D>
HWY_INLINE void store_result(hn::Vec<D> v, D d, float* to) {
  if constexpr (kStreamed && hn::MaxLanes(D()) > 1) {
    hn::Stream(v, d, to);
  } else {
    hn::StoreU(v, d, to);
  }
}

/// Calls `body` with whether results are streamed, as a constant. Other threads see what it stored.
template <class Body>
HWY_INLINE void with_streamed(bool streamed, const Body& body) {
  if (!streamed) return body(std::false_type());
  body(std::true_type());
  hwy::FlushStream();
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
