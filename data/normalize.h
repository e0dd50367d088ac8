#pragma once

#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// (value - mean[c]) / std[c] for each channel c of images with values in [0, 1], as `torchvision.transforms.Normalize`: mean and
/// std are rounded to f32 first.
struct GPUCNN_API Normalize {
  std::vector<double> mean, std;

  /// Images as a network takes them: u8 (0 to 255) or f32 (0 to 1) [N, C, H, W] -> f32 [N, C, H, W] on the same device; bytes are
  /// divided by 255 first. Throws `std::invalid_argument` unless mean and std have C values and every mean is finite and
  /// every std finite and > 0.
  Tensor operator()(const Tensor& images) const;
};

}  // namespace gpucnn
