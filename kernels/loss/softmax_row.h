#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// Of one row of softmax: the largest x, and the sum of exp(x[c] - largest); the sum is NaN where softmax is.
struct RowSum {
  double largest;
  double sum;
};

/// Computes it, and writes exp(x[c] - largest) to e[c]. e may be x, or null.
RowSum softmax_row(const float* x, float* e, std::int64_t C);

}  // namespace gpucnn::kernels::cpu
