#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

struct LeNet5Options {
  int num_classes = 10;
  Shape image = {1, 32, 32};  ///< [C, H, W]
};

/// LeNet-5 of LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition" (1998), section II.B:
/// x: [N, image] -> logits [N, num_classes]. 61,706 parameters with 10 classes. The paper puts its 28x28 digits in the middle of
/// 32x32 pixels; so "conv1" pads images of fewer than 32 rows or columns by 2.
///
/// As it is usually written today: C3 sees all maps of S2, subsampling has no weights, tanh is not scaled, and a Linear makes the
/// logits in place of distances to drawn digits. Parameters are called "conv1", "conv2", "fc1", "fc2", "fc3", and begin as those of
/// the layers alone, which is PyTorch's default.
///
/// Throws `std::invalid_argument` unless num_classes is at least 1 and image is [C, H, W] with H and W at least 12.
GPUCNN_API Sequential lenet5(const LeNet5Options& options = {});

}  // namespace gpucnn
