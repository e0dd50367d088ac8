#pragma once

#include <gpucnn/layers/conv2d.h>

namespace gpucnn {

/// A convolution that begins as those of torchvision's models: weights normal with the variance 2 / (out_channels kH kW), which is
/// `kaiming_normal_` with mode "fan_out", and biases at 0. A Conv2d alone is uniform. He et al., "Delving deep into rectifiers"
/// (2015).
Conv2d fan_out_conv(int in_channels, int out_channels, Conv2dOptions options);

}  // namespace gpucnn
