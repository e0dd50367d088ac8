#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// A row of `pixels` pixels, each the largest of two pixels from `top` and two from `bottom`, of C channels. Of these the first
/// wins, and the last NaN. `rectifies`: then ReLU.
struct Pool2x2Row {
  const float *top, *bottom;
  std::int64_t pixels, C;
  float* to;
  bool rectifies = false;
};
void pool_2x2_row(const Pool2x2Row& row);

}  // namespace gpucnn::kernels::cpu
