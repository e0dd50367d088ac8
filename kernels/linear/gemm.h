#pragma once

#include <cstdint>

#include <gpucnn/kernels/activation/activation.h>

// The arguments of the matrix products in gemm-inl.h. A stride is the distance of two neighbours in memory, in elements.
namespace gpucnn::kernels {

/// GEMM with both factors row-major, the second transposed: y[n][o] = epilogue(the dot product of rows x[n] and weight[o], of I
/// floats each, + bias[o]).
struct GemmNT {
  std::int64_t N, O, I;
  const float *x, *weight, *bias;  // bias: null without one
  float* y;
  std::int64_t y_stride;
  Activation epilogue;
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

/// The same GEMM with a sparse a: c[m][i] = the sum over k of values[m][k] b[indices[m][1 + k]][i], for k in [0, indices[m][0]).
/// Added to c if `accumulate`.
struct SparseGemm {
  std::int64_t M, I;
  const float* values;
  std::int64_t values_stride;
  const std::int32_t* indices;  // of each row its count, then the rows of b
  std::int64_t indices_stride;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  bool accumulate;
};

}  // namespace gpucnn::kernels
