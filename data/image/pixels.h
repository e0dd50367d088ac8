#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace gpucnn {

/// An image in memory: row by row, each pixel's channels together, which is how u8 tensors [1, C, H, W] lie.
struct Pixels {
  /// Memory of unspecified content. Throws `OutOfMemory` where the host has no room.
  static Pixels empty(int height, int width, int channels);

  std::size_t row_bytes() const noexcept { return static_cast<std::size_t>(width) * static_cast<std::size_t>(channels); }
  std::size_t bytes() const noexcept { return row_bytes() * static_cast<std::size_t>(height); }
  std::uint8_t* row(int y) noexcept { return values.get() + static_cast<std::size_t>(y) * row_bytes(); }
  const std::uint8_t* row(int y) const noexcept { return values.get() + static_cast<std::size_t>(y) * row_bytes(); }

  int height = 0, width = 0, channels = 0;
  std::unique_ptr<std::uint8_t[]> values;
};

/// The image with `channels` 1 or 3 where it has 3 or 1: grey is (19595 R + 38470 G + 7471 B + 32768) >> 16, as PIL's
/// convert("L"), and the three channels of a grey image are equal.
Pixels with_channels(Pixels image, int channels);

/// The image upright, for an orientation from 1 to 8 as the Exif standard (CIPA DC-008, tag 274) counts them.
Pixels upright(Pixels image, int orientation);

}  // namespace gpucnn
