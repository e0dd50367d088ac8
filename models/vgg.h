#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// Options of the VGG networks, in torchvision's words where it has them.
struct VGGOptions {
  int num_classes = 1000;
  int in_channels = 3;   ///< 1 for grey images
  double dropout = 0.5;  ///< behind the first two Linear layers
};

/// Configuration A of Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014), table 1,
/// with BatchNorm2d behind each convolution, as torchvision's vgg11_bn: x: [N, in_channels, H, W], H and W at least 32 -> logits
/// [N, num_classes]. What the convolutions make is averaged or repeated to 7x7 for the classifier. 132,868,840 parameters; names
/// and shapes are torchvision's, so that weights load strictly both ways.
///
/// Weights begin as torchvision's: convolutions normal with the variance 2 / (out_channels kH kW) and Linear layers with the
/// deviation 0.01, where a layer alone is uniform; biases at 0, BatchNorm2d at 1 and 0.
///
/// Throws `std::invalid_argument` unless num_classes and in_channels are at least 1, and dropout is a probability.
GPUCNN_API Sequential vgg11_bn(const VGGOptions& options = {});

}  // namespace gpucnn
