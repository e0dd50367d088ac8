#pragma once

#include <gpucnn/data/data_loader.h>

namespace gpucnn {

/// Throws `std::invalid_argument` for options of augmentation outside their range, and for those that the dataset's images, [C, H,
/// W], or labels do not allow.
void check_augmentations(const DataLoaderOptions& options, const Dataset& dataset);

}  // namespace gpucnn
