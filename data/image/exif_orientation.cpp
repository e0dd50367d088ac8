#include <gpucnn/data/image/exif_orientation.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace gpucnn {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kExifHeader = 6;  // "Exif", 0, 0
constexpr std::uint32_t kOrientationTag = 0x0112, kShort = 3;

/// `count` bytes at `offset` as a number; 0 beyond the end.
std::uint32_t number(Bytes bytes, std::size_t offset, std::size_t count, bool little) noexcept {
  if (offset > bytes.size() || count > bytes.size() - offset) return 0;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[offset + (little ? count - 1 - i : i)]);
  }
  return value;
}

bool begins_with(Bytes bytes, std::string_view text) noexcept {
  return bytes.size() >= text.size() &&
         std::ranges::equal(bytes.first(text.size()), text, {}, {}, [](char c) { return static_cast<std::byte>(c); });
}

/// Of a TIFF file, which an Exif block is.
int tiff_orientation(Bytes tiff) noexcept {
  const bool little = begins_with(tiff, "II");
  if (!little && !begins_with(tiff, "MM")) return 1;
  const std::size_t directory = number(tiff, 4, 4, little);
  const std::uint32_t entries = number(tiff, directory, 2, little);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + std::size_t{12} * i;
    if (entry >= tiff.size()) return 1;
    if (number(tiff, entry, 2, little) != kOrientationTag || number(tiff, entry + 2, 2, little) != kShort) continue;
    const std::uint32_t orientation = number(tiff, entry + 8, 2, little);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

}  // namespace

int exif_orientation(std::span<const std::byte> jpeg) noexcept {
  constexpr std::uint32_t kApp1 = 0xE1, kStartOfScan = 0xDA;
  // Segments after the start marker: 0xFF, a marker, and a length that counts itself.
  for (std::size_t at = 2; at + 4 <= jpeg.size();) {
    if (number(jpeg, at, 1, false) != 0xFF) return 1;
    const std::uint32_t marker = number(jpeg, at + 1, 1, false);
    if (marker == 0xFF) {  // padding
      ++at;
      continue;
    }
    const std::size_t length = number(jpeg, at + 2, 2, false);
    if (marker == kStartOfScan || length < 2 || length > jpeg.size() - at - 2) return 1;
    const Bytes segment = jpeg.subspan(at + 4, length - 2);
    if (marker == kApp1 && begins_with(segment, std::string_view("Exif\0\0", kExifHeader))) {
      return tiff_orientation(segment.subspan(kExifHeader));
    }
    at += 2 + length;
  }
  return 1;
}

}  // namespace gpucnn
