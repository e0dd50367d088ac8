#pragma once

#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// How the blocks of one stage of a ResNet are made: `count` of them, of which the first halves the image if `stride` is 2.
struct StageOptions {
  int in_channels;
  int channels;  ///< of the 3x3 convolutions
  int count;
  int stride = 1;
  bool zero_init_residual = false;
};

/// Blocks of two 3x3 convolutions: [N, in_channels, H, W] -> [N, channels, H / stride, W / stride].
Sequential basic_blocks(const StageOptions& options);

/// Blocks of 1x1, 3x3 and 1x1 convolutions: [N, in_channels, H, W] -> [N, 4 channels, H / stride, W / stride]. The stride is that
/// of the 3x3 convolution, as in torchvision, not that of the first 1x1 convolution, as in the paper.
Sequential bottlenecks(const StageOptions& options);

}  // namespace gpucnn
