#pragma once

#include <cstdint>

#include <gpucnn/kernels/activation/activation.h>

// The arguments of the matrix products in gemm-inl.h. A stride is the distance of two neighbours in memory, in elements.
namespace gpucnn::kernels {

/// Long sums of `GemmNT` are cut into parts of so many terms, which are added in order. So they stay exact enough.
inline constexpr std::int64_t kTermsOfSum = 1024;

/// Weights that lie in a core's second-level cache, beside much else.
inline constexpr std::int64_t kNearWeights = 1 << 18;

/// GEMM with both factors row-major, the second transposed: y[n][o] = epilogue(the dot product of rows x[n] and weight[o], of I
/// floats each, + bias[o]).
struct GemmNT {
  std::int64_t N, O, I;
  const float *x, *weight, *bias;  // bias: null without one
  float* y;
  std::int64_t y_stride;
  Activation epilogue;
  bool far = false;  // weights that are more than kNearWeights
};

/// GEMM: c[m][i] = the sum over t of a[m][t] b[t][i]; added to c if `accumulate`.
struct Gemm {
  std::int64_t M, T, I;
  const float* a;
  std::int64_t a_stride_m, a_stride_t;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  bool accumulate;
};

}  // namespace gpucnn::kernels
