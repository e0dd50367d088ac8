#pragma once

#include <cmath>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/activation/activation.h>

namespace gpucnn::kernels::cuda {

/// Those of Highway's functions that the activations use, for a single float. In .cu files only.
namespace hn {

struct Single {};  // the tag

template <class D>
using Vec = float;

__device__ inline float Zero(Single) { return 0; }
__device__ inline float Set(Single, float value) { return value; }
__device__ inline float Neg(float a) { return -a; }
__device__ inline float Abs(float a) { return fabsf(a); }
__device__ inline float Add(float a, float b) { return a + b; }
__device__ inline float Sub(float a, float b) { return a - b; }
__device__ inline float Mul(float a, float b) { return a * b; }
__device__ inline float Div(float a, float b) { return a / b; }
__device__ inline float MulAdd(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline float NegMulAdd(float a, float b, float c) { return fmaf(-a, b, c); }
__device__ inline float Exp(Single, float x) { return expf(x); }
__device__ inline float Tanh(Single, float x) { return tanhf(x); }
__device__ inline bool Eq(float a, float b) { return a == b; }
__device__ inline bool Lt(float a, float b) { return a < b; }
__device__ inline bool Le(float a, float b) { return a <= b; }
__device__ inline float IfThenElse(bool mask, float yes, float no) { return mask ? yes : no; }
__device__ inline float IfThenZeroElse(bool mask, float no) { return mask ? 0 : no; }

}  // namespace hn

#define GPUCNN_POINTWISE __device__ inline
#include <gpucnn/kernels/activation/functors-inl.h>
#undef GPUCNN_POINTWISE

/// function(x), for the epilogue of a kernel.
__device__ inline float activate(const Activation& function, float x) {
  return with_functor(function, [=](const auto& functor) { return functor.forward(hn::Single(), x); });
}

/// The same for a function without an exponential, whose registers an unrolled kernel needs for its sums; see
/// `activation_has_exponential`.
__device__ inline float activate_simple(const Activation& function, float x) {
  return with_functor(function, [=]<class Functor>(const Functor& functor) {
    if constexpr (requires { Functor::kHasExponential; }) {
      return x;
    } else {
      return functor.forward(hn::Single(), x);
    }
  });
}

}  // namespace gpucnn::kernels::cuda
