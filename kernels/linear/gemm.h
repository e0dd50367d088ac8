#pragma once

#include <cstdint>

#include <gpucnn/kernels/activation/activation.h>

// What the products of products-inl.h are asked for.
namespace gpucnn::kernels {

/// y[n][o] = the dot product of rows x[n] and weight[o], of I floats each, + bias[o], through the epilogue, for blocks of both
/// rows.
struct DotProducts {
  std::int64_t N, O, I;
  const float *x, *weight, *bias;  // bias: null without one
  float* y;
  std::int64_t y_stride;
  Activation epilogue;
};

/// c[m][i] = the sum over t of a[m][t] b[t][i]; added to c if `more`.
struct RowSums {
  std::int64_t M, T, I;
  const float* a;
  std::int64_t a_row, a_column;  // distances of a's elements in m and t
  const float* b;
  std::int64_t b_row;
  float* c;
  std::int64_t c_row;
  bool more;
};

/// c[m][i] = the sum over k of values[m][k] b[places[m][1 + k]][i], for k in [0, places[m][0]); added to c if `more`.
struct SomeRowSums {
  std::int64_t M, I;
  const float* values;
  std::int64_t values_row;
  const std::int32_t* places;  // each row's count, then rows of b
  std::int64_t places_row;
  const float* b;
  std::int64_t b_row;
  float* c;
  std::int64_t c_row;
  bool more;
};

}  // namespace gpucnn::kernels
