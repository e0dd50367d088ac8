#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// How stored images become a batch.
struct ImageTransform {
  std::span<const float> mean, std;  ///< per channel, for values in [0, 1]; both empty: no normalisation
  int crop_padding = 0;              ///< zeros around the image before a random crop of its own size; 0: no crop
  bool flip = false;                 ///< mirror left to right with probability 1/2
  std::uint64_t seed = 0;            ///< of the crop and flip streams
  std::uint64_t epoch = 0;           ///< their step
  std::int64_t first = 0;            ///< the position in the epoch of the batch's first image
};

/// batch[i] = transform(images[indices[i]]): u8 values are divided by 255, f32 values taken as they are; then cropped, mirrored and
/// normalised, (value - mean[c]) / std[c], each operation rounded to f32, in torchvision's order (padding is 0 before
/// normalisation). images: u8 or f32 [M, C, H, W]; N indices, each in [0, M); batch: f32 [N, C, H, W]. Throws
/// `std::invalid_argument` for an index outside, a mean or std that has not C values or is not finite, a std that is not > 0 or a
/// negative padding.
///
/// With e = first + i: the crop's row and column offsets are RandomStream(seed, Purpose::crop, 0, epoch).below(2 e, 2 crop_padding
/// + 1) and .below(2 e + 1, 2 crop_padding + 1); the image is mirrored if the highest bit of RandomStream(seed, Purpose::flip, 0,
/// epoch).word(e) is 1.
GPUCNN_API void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform,
                            Tensor& batch, Stream& stream);

}  // namespace gpucnn::kernels
