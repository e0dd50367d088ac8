#pragma once

#include <cstddef>
#include <span>

namespace gpucnn {

/// The orientation, from 1 to 8, that the Exif block of these bytes of a JPEG file gives (CIPA DC-008, tag 274 of IFD 0). It is 1,
/// upright, where there is none, or where the block is damaged: an image is not worse for that.
int exif_orientation(std::span<const std::byte> jpeg) noexcept;

}  // namespace gpucnn
