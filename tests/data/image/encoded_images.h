#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gpucnn {

using Bytes = std::vector<std::byte>;

/// A PNG to be written: `rows` hold `height` rows as libpng packs them.
struct PngImage {
  int width = 0, height = 0;
  int colour_type = 2;  ///< PNG's numbers: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha
  int bit_depth = 8;
  bool interlaced = false;
  std::vector<std::uint8_t> rows;
  std::vector<std::uint8_t> palette = {};  ///< red, green and blue of each entry
};

/// Its bytes, as libpng writes them.
Bytes encode_png(const PngImage& image);

/// A PNG of one colour, RGB.
Bytes plain_png(int width, int height, std::uint8_t red, std::uint8_t green, std::uint8_t blue);

/// A JPEG of one colour, RGB.
Bytes plain_jpeg(int width, int height, std::uint8_t red, std::uint8_t green, std::uint8_t blue);

/// `bytes` of a PNG with one more chunk behind its header.
Bytes with_chunk(const Bytes& png, const std::string& type, const std::string& data);

/// `bytes` of a PNG whose header claims another size.
Bytes with_png_size(Bytes png, std::uint32_t width, std::uint32_t height);

/// `bytes` of a JPEG whose frame claims another size.
Bytes with_jpeg_size(Bytes jpeg, std::uint16_t width, std::uint16_t height);

/// `bytes` of a JPEG with one more segment behind its start marker.
Bytes with_segment(const Bytes& jpeg, std::uint8_t marker, std::string_view data);

Bytes bytes_of(std::string_view text);

}  // namespace gpucnn
