#pragma once

#include <string>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// An image with a map of `grad_cam` over it, as a PNG file: from transparent blue through yellow to red at the largest number.
/// image: u8, or f32 from 0 to 1, [1, C, H, W] with 1 or 3 channels on the CPU; map: f32 [1, h, w] on the CPU. The picture's longer
/// side is near `side`: the pixels of larger images are averaged, those of smaller ones repeated a whole number of times. Throws
/// `std::invalid_argument` for other tensors, and a side outside 1 to 4096.
GPUCNN_API std::string heat_map_png(const Tensor& image, const Tensor& map, int side);

}  // namespace gpucnn
