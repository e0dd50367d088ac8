#pragma once

#include <vector>

namespace gpucnn {

/// (value - mean[c]) / std[c] for each channel c of images with values in [0, 1], as `torchvision.transforms.Normalize`: mean and
/// std are rounded to f32 first.
struct Normalize {
  std::vector<double> mean, std;
};

}  // namespace gpucnn
