#pragma once

#include <cstdint>

#include <gpucnn/core/random.h>

/// For both devices: see image_batch.h.
namespace gpucnn::kernels {

/// Whether the image at this position of the epoch is mirrored, if flips are random.
constexpr bool is_mirrored(std::uint64_t seed, std::uint64_t epoch, std::uint64_t position) {
  return RandomStream(seed, Purpose::flip, 0, epoch).word(position) >> 31 != 0;
}

/// Whether the image with this number is mirrored in this epoch, if flips alternate.
constexpr bool is_mirrored_alternating(std::uint64_t seed, std::uint64_t epoch, std::int64_t number) {
  const bool first = RandomStream(seed, Purpose::flip, 1).word(static_cast<std::uint64_t>(number)) >> 31 != 0;
  return first != (epoch % 2 != 0);
}

}  // namespace gpucnn::kernels
