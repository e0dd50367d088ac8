#pragma once

#include <utility>

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn {

/// torchvision's RandomResizedCrop with its names and defaults: a random part of the image, resized bilinearly without
/// antialiasing.
struct RandomResizedCropOptions {
  Size2 size = 0;                                    ///< of what comes out, >= 0; 0: of the stored images
  std::pair<double, double> scale = {0.08, 1.0};     ///< the part's share of the image, in (0, 1]
  std::pair<double, double> ratio = {0.75, 4. / 3};  ///< its width divided by its height, > 0
};

}  // namespace gpucnn
