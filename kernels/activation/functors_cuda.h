#pragma once

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
__device__ inline float Mul(float a, float b) { return a * b; }
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

}  // namespace gpucnn::kernels::cuda
