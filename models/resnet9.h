#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

struct ResNet9Options {
  int num_classes = 10;
  int in_channels = 3;  ///< 1 for grey images
  int width = 64;       ///< channels of the first convolution; the last ones have 8 times as many. 16 or 24 suit a few CPU cores.
};

/// The network of Page, "How to train your ResNet" (2018), which won DAWNBench's CIFAR-10 race: x: [N, in_channels, H, W], H and W
/// at least 8 -> logits [N, num_classes]. 6,573,120 parameters with 10 classes. Parts are called "prep", "layer1", "layer2",
/// "layer3", "pool", "linear" and "classifier" as there. The pooling takes the maximum of each whole map, which allows any size;
/// the classifier scales the logits by 1 / 8. Weights begin as those of the layers alone, PyTorch's default, as there.
///
/// Throws `std::invalid_argument` unless num_classes, in_channels and width are at least 1, and width at most 2^20.
GPUCNN_API Sequential resnet9(const ResNet9Options& options = {});

}  // namespace gpucnn
