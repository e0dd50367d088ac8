#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// Sums over pixels of dy by what its terms read, for the terms of one run and up to kGemmPanel outputs of a panel: the gradients
/// of their weights. They are written to `sums`, or added if `adds`.
struct TermProducts {
  const float* x;            // the run's first term of the first pixel
  const std::int64_t* x_at;  // of each pixel, from there
  const float* dy;           // of the first pixel, the panel's first output
  const std::int64_t* dy_at;
  std::int64_t pixels, terms, outputs;
  float* sums;  // [terms][kGemmPanel]
  bool adds;
  const float *ahead, *ahead_end;  // what is read next, to be fetched into the second-level cache meanwhile; may be empty
};
void multiply_terms(const TermProducts& p);

/// Adds the pixels' gradients to `sums`, in double: dbias.
void add_gradients(const float* dy, const std::int64_t* dy_at, std::int64_t pixels, std::int64_t outputs, double* sums);

}  // namespace gpucnn::kernels::cpu
