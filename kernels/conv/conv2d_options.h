#pragma once

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn {

/// The hyper-parameters of a 2-d convolution, PyTorch's names, order and defaults.
struct Conv2dOptions {
  Size2 kernel_size;   ///< must be given
  Size2 stride = 1;    ///< step of the window, >= 1
  Size2 padding = 0;   ///< zeros on every side, >= 0
  Size2 dilation = 1;  ///< distance between the elements of the window, >= 1
  int groups = 1;      ///< channels are split into this many independent convolutions
  bool bias = true;
};

}  // namespace gpucnn
