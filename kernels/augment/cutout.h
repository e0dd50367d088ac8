#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/batch_position.h>

namespace gpucnn::kernels {

/// Sets a square of each image to 0 in all channels, in place. DeVries and Taylor, "Improved regularization of convolutional neural
/// networks with cutout" (2017): its centre is any pixel, so that a part of it may lie outside. images: f32 [N, C, H, W]; size: its
/// side, in [0, min(H, W)]. Throws `std::invalid_argument` otherwise.
///
/// For image i, with e = position.first + i and words = RandomStream(seed, Purpose::augment, 0, epoch), the square covers
///   size rows from words.below(2 e, H) - size / 2 on, and size columns from words.below(2 e + 1, W) - size / 2 on.
GPUCNN_API void cutout(Tensor& images, int size, const BatchPosition& position, Stream& stream);

}  // namespace gpucnn::kernels
