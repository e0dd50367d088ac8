#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/augment/batch_position.h>
#include <gpucnn/kernels/augment/color_jitter_options.h>
#include <gpucnn/kernels/image/random_resized_crop_options.h>

namespace gpucnn::kernels {

/// How stored images become a batch.
struct ImageTransform {
  std::span<const float> mean, std;  ///< per channel, for values in [0, 1]; both empty: no normalisation
  int crop_padding = 0;              ///< zeros around the image before a random crop of its own size; 0: no crop
  bool flip = false;                 ///< mirror left to right with probability 1/2
  bool alternating_flip = false;     ///< instead: mirror in every second epoch, from the first or second on
  std::optional<RandomResizedCropOptions> random_resized_crop = {};  ///< instead of crop_padding
  ColorJitterOptions color_jitter = {};                              ///< of images of 1 or 3 channels
  int cutout = 0;                                                    ///< the side of a square that becomes 0 behind all else
  std::uint64_t seed = 0;                                            ///< of the streams
  std::uint64_t epoch = 0;                                           ///< their step
  std::int64_t first = 0;                                            ///< the position in the epoch of the batch's first image
  std::span<const std::int64_t> numbers = {};  ///< of the images, by which alternating_flip knows them; empty: the indices

  BatchPosition position() const noexcept { return {seed, epoch, first}; }

  /// The shape of a batch of N: [N, C, H, W], or of random_resized_crop's size. `images`: [M, C, H, W].
  Shape batch_shape(const Shape& images, std::int64_t N) const {
    const Size2 size = random_resized_crop ? random_resized_crop->size : Size2(0);
    return {N, images[1], size.height > 0 ? size.height : images[2], size.width > 0 ? size.width : images[3]};
  }
};

}  // namespace gpucnn::kernels
