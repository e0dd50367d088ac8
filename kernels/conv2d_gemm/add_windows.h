#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// Adds the windows of pixels [first, first + count) to an image: `taps` rows of `tap_length` floats each. Steps in floats.
struct AddedWindows {
  const float* windows;  // of pixel `first`, then `window` floats on
  std::int64_t window, first, count;
  std::int64_t columns;  // pixels of a row
  std::int64_t row_step, column_step;
  std::int64_t taps, tap_step, tap_length;
  float* image;
};
void add_windows(const AddedWindows& a);

}  // namespace gpucnn::kernels::cpu
