#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <gpucnn/data/image/pixels.h>
#include <gpucnn/kernels/common/size2.h>

namespace gpucnn {

/// What a decoder gets. All of these functions throw `DataError` for bytes that are no whole image, with `name` as the file.
struct EncodedImage {
  std::span<const std::byte> bytes;
  const std::string& name;
  std::int64_t max_pixels;
};

/// Whether the bytes begin as files of this kind do.
bool is_png(std::span<const std::byte> bytes) noexcept;
bool is_jpeg(std::span<const std::byte> bytes) noexcept;

/// Throws unless the image has from 1 to `max_pixels` pixels.
void check_extents(const EncodedImage& image, std::uint64_t height, std::uint64_t width);

/// The image with 1 channel if it is grey, else 3.
Pixels decode_png(const EncodedImage& image);

/// A JPEG as it is stored, with 1 or 3 channels, and the size that it has undivided.
struct DecodedJpeg {
  Pixels pixels;
  Size2 full = 0;
};

/// The image, divided by 2, 4 or 8 along both sides where the result still has `enough` pixels along each of them; 0: whole.
DecodedJpeg decode_jpeg(const EncodedImage& image, Size2 enough);

}  // namespace gpucnn
