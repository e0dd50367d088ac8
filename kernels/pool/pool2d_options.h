#pragma once

#include <optional>

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn {

/// PyTorch's options of AvgPool2d, in its order.
struct AvgPool2dOptions {
  Size2 kernel_size;
  std::optional<Size2> stride = std::nullopt;          ///< kernel_size if unset
  Size2 padding = 0;                                   ///< zeros, at most half of kernel_size
  bool ceil_mode = false;                              ///< whether the last window may go beyond the padding
  bool count_include_pad = true;                       ///< whether the mean counts the padding
  std::optional<int> divisor_override = std::nullopt;  ///< what sums are divided by, not 0; their number of elements if unset
};

namespace kernels {

/// The window of a pooling, its elements `dilation` apart. Padding is at most half of kernel_size. With `ceil_mode` the last window
/// may go beyond the padding, but it begins in the image or in the padding before it.
struct Pool2d {
  Size2 kernel_size;
  Size2 stride;
  Size2 padding = 0;
  Size2 dilation = 1;
  bool ceil_mode = false;
};

}  // namespace kernels
}  // namespace gpucnn
