#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// Options of the residual networks, in torchvision's words where it has them.
struct ResNetOptions {
  int num_classes = 1000;
  int in_channels = 3;              ///< 1 for grey images
  bool small_stem = false;          ///< begins with a 3x3 convolution and no pooling, for images of about 32x32
  bool zero_init_residual = false;  ///< whether the last BatchNorm2d of each block begins at 0, the block as the identity
};

/// The residual networks of He et al., "Deep Residual Learning for Image Recognition" (2015), table 1, as torchvision has them:
/// x: [N, in_channels, H, W] -> logits [N, num_classes], for images of any size; 224x224 in the paper. Names and shapes of
/// parameters and buffers are torchvision's, so that its weights load strictly, and these there. With `small_stem` only
/// "conv1.weight" has another shape, [64, in_channels, 3, 3].
///
/// Weights begin as torchvision's: convolutions normal with the variance 2 / (out_channels kH kW), where a Conv2d alone is uniform;
/// BatchNorm2d at 1 and 0; "fc" as a Linear alone. The stride of resnet50's blocks is in their 3x3 convolution, as in torchvision.
///
/// `model.at<Linear>("fc") = Linear(512, 5)` gives a network another head. Each throws `std::invalid_argument` unless num_classes
/// and in_channels are at least 1. 11,689,512 parameters:
GPUCNN_API Sequential resnet18(const ResNetOptions& options = {});
/// 21,797,672 parameters.
GPUCNN_API Sequential resnet34(const ResNetOptions& options = {});
/// 25,557,032 parameters; "fc" takes 2048 features.
GPUCNN_API Sequential resnet50(const ResNetOptions& options = {});

/// The smallest of the paper's networks for CIFAR-10 (section 4.2): x: [N, in_channels, H, W] -> logits [N, num_classes]. 272,474
/// parameters with 10 classes. Begins as the above.
///
/// Where a block changes the shape the shortcut is a projection, the paper's option B, with "downsample.0" and ".1" as names. The
/// paper takes option A there, zeros in place of the new channels, which has no parameters: 2,752 fewer.
struct ResNet20Options {
  int num_classes = 10;
  int in_channels = 3;
};
GPUCNN_API Sequential resnet20(const ResNet20Options& options = {});

}  // namespace gpucnn
