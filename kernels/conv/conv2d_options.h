#pragma once

#include <gpucnn/kernels/common/size2.h>
#include <gpucnn/kernels/conv/padding2d.h>

namespace gpucnn {

/// The hyper-parameters of a 2-d convolution, PyTorch's names, order and defaults.
struct Conv2dOptions {
  Size2 kernel_size;      ///< must be given
  Size2 stride = 1;       ///< step of the window, >= 1
  Padding2d padding = 0;  ///< zeros around the image, >= 0, or `Padding2d::same` where the stride is 1
  Size2 dilation = 1;     ///< distance between the elements of the window, >= 1
  int groups = 1;         ///< channels are split into this many independent convolutions
  bool bias = true;
};

}  // namespace gpucnn
