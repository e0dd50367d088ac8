#pragma once

#include <cstdint>

#include <gpucnn/core/random.h>
#include <gpucnn/kernels/augment/batch_position.h>

/// The random streams of the augmentations, for both devices.
namespace gpucnn::kernels {

/// The index of each one's stream.
enum class Augmentation : std::uint32_t { cutout, color_jitter, random_resized_crop, mix };

constexpr RandomStream augment_stream(const BatchPosition& position, Augmentation augmentation) {
  return RandomStream(position.seed, Purpose::augment, static_cast<std::uint32_t>(augmentation), position.epoch);
}

/// The position in the epoch of image i of the batch.
constexpr std::uint64_t image_position(const BatchPosition& position, std::int64_t i) {
  return static_cast<std::uint64_t>(position.first) + static_cast<std::uint64_t>(i);
}

}  // namespace gpucnn::kernels
