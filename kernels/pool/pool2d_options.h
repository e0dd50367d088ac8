#pragma once

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn::kernels {

/// The window of a pooling: at most 256 elements; padding at most half the window.
struct Pool2d {
  Size2 kernel_size;
  Size2 stride;
  Size2 padding = 0;
};

}  // namespace gpucnn::kernels
