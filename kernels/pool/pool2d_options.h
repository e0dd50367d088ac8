#pragma once

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn::kernels {

/// The window of a pooling, its elements `dilation` apart. Padding is at most half of kernel_size. With `ceil_mode` the last window
/// may go beyond the padding, but it begins in the image or in the padding before it.
struct Pool2d {
  Size2 kernel_size;
  Size2 stride;
  Size2 padding = 0;
  Size2 dilation = 1;
  bool ceil_mode = false;
};

}  // namespace gpucnn::kernels
