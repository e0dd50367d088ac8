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
  std::int64_t first =
      0;  ///< the position in the epoch of the batch's first image: word e of a stream is for position e / 2 (crop) or e (flip)
};

/// batch[i] = transform(images[indices[i]]): u8 values are divided by 255, f32 values taken as they are; then cropped, mirrored and
/// normalised, (value - mean[c]) / std[c], in torchvision's order (padding is 0 before normalisation).
/// images: u8 or f32 [M, C, H, W]; indices: i64 [N] in [0, M), on the CPU; batch: f32 [N, C, H, W]. Throws `std::invalid_argument`
/// for an index outside, or a mean or std that has not C values or a std that is not > 0.
///
/// Crop: row and column offsets RandomStream(seed, Purpose::crop, 0, epoch).below(2e, 2 crop_padding + 1) and .below(2e + 1, …);
/// flip: RandomStream(seed, Purpose::flip, 0, epoch).word(e) >> 31; e = first + i.
GPUCNN_API void image_batch(const Tensor& images, const Tensor& indices, const ImageTransform& transform, Tensor& batch,
                            Stream& stream);

}  // namespace gpucnn::kernels
