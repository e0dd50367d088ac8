#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <numeric>

#include "fuzz_target.h"
#include "image_seeds.h"

using gpucnn::encode_png, gpucnn::plain_png, gpucnn::with_chunk, gpucnn::with_png_size;

std::vector<std::string> fuzz::seeds() {
  std::vector<std::string> all;
  for (const bool interlaced : {false, true}) {
    for (const auto& [type, depth] : {std::pair{0, 1},
                                      {0, 2},
                                      {0, 4},
                                      {0, 8},
                                      {0, 16},
                                      {2, 8},
                                      {2, 16},
                                      {3, 1},
                                      {3, 4},
                                      {3, 8},
                                      {4, 8},
                                      {4, 16},
                                      {6, 8},
                                      {6, 16}}) {
      gpucnn::PngImage image{.width = 9, .height = 7, .colour_type = type, .bit_depth = depth, .interlaced = interlaced};
      image.rows.resize(9 * 7 * 8);
      std::iota(image.rows.begin(), image.rows.end(), std::uint8_t{0});
      if (type == 3) {
        for (std::uint8_t& value : image.rows) value &= 1;
        image.palette = {1, 2, 3, 4, 5, 6};
      }
      all.push_back(text_of(encode_png(image)));
    }
  }
  const gpucnn::Bytes plain = plain_png(4, 4, 1, 2, 3);
  for (const char* type : {"tRNS", "gAMA", "iCCP", "zTXt", "eXIf", "sBIT", "bKGD"}) {
    all.push_back(text_of(with_chunk(plain, type, std::string("ab\0\0cd", 6))));
  }
  all.push_back(text_of(with_png_size(plain, 0, 0)));
  all.push_back(text_of(with_png_size(plain, 100, 100)));
  return all;
}

void fuzz::run(std::string_view bytes) {
  // A wrong checksum ends it at once. So most inputs get right ones.
  std::string text(bytes);
  if (bytes.size() % 8 != 0) {
    for (std::size_t at = 8; at + 12 <= text.size();) {
      const auto* length = reinterpret_cast<const unsigned char*>(text.data() + at);
      const std::size_t size =
          std::size_t{length[0]} << 24 | std::size_t{length[1]} << 16 | std::size_t{length[2]} << 8 | length[3];
      if (size > text.size() - at - 12) break;
      const auto sum =
          static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(text.data() + at + 4), static_cast<uInt>(size + 4)));
      for (std::size_t i = 0; i < 4; ++i) text[at + 8 + size + i] = static_cast<char>(sum >> (24 - 8 * i));
      at += 12 + size;
    }
  }
  decode_every_way(text);
}
