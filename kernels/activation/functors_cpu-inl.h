// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_FUNCTORS_CPU_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_FUNCTORS_CPU_INL_H
#undef GPUCNN_KERNELS_FUNCTORS_CPU_INL_H
#else
#define GPUCNN_KERNELS_FUNCTORS_CPU_INL_H
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <gpucnn/kernels/activation/activation.h>

// The activations' functors for vectors.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#define GPUCNN_POINTWISE HWY_INLINE
#include <gpucnn/kernels/activation/functors-inl.h>
#undef GPUCNN_POINTWISE

template <class D, class Functor>
HWY_NOINLINE hn::Vec<D> called_forward(const Functor& functor, D d, hn::Vec<D> x) {
  return functor.forward(d, x);
}

/// functor.forward(d, x), for an epilogue that stands in a kernel many times over.
template <class D, class Functor>
HWY_INLINE hn::Vec<D> epilogue_forward(const Functor& functor, D d, hn::Vec<D> x) {
  if constexpr (requires { Functor::kHasExponential; }) {
    return called_forward(functor, d, x);
  } else {
    return functor.forward(d, x);
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
