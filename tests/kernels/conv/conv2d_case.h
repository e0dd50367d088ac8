#pragma once

#include <vector>

#include <gpucnn/kernels/conv/conv2d.h>

#include "reference/conv2d.h"

namespace gpucnn::kernels {

inline Conv2dOptions options_of(const reference::Conv2d& sizes, bool bias) {
  return {.kernel_size = sizes.kernel_size,
          .stride = sizes.stride,
          .padding = sizes.padding,
          .dilation = sizes.dilation,
          .groups = static_cast<int>(sizes.groups),
          .bias = bias};
}

/// A convolution that a test tries, under a name for its messages.
struct Conv2dCase {
  const char* name;
  reference::Conv2d sizes;
  bool bias = true;

  Shape x_shape() const { return {sizes.N, sizes.C, sizes.H, sizes.W}; }
  Shape y_shape() const { return conv2d_shape(x_shape(), sizes.C, sizes.K, options()); }
  Shape weight_shape() const { return conv2d_weight_shape(sizes.C, sizes.K, options()); }
  Conv2dOptions options() const { return options_of(sizes, bias); }
};

/// What goes into its passes, from fixed seeds.
struct Conv2dOperands {
  explicit Conv2dOperands(const Conv2dCase& c)
      : x(reference::random_floats(c.sizes.x_numel(), 1)),
        weight(reference::random_floats(c.sizes.weight_numel(), 2)),
        bias(reference::random_floats(c.bias ? c.sizes.K : 0, 3)),
        dy(reference::random_floats(c.sizes.y_numel(), 4)) {}
  std::vector<float> x, weight, bias, dy;
};

}  // namespace gpucnn::kernels
