#pragma once

#include <zlib.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace gpucnn {

/// An IDX file: its head says `extents` (rank and all) and `type`, and `numbers` stand behind it.
inline std::string idx_bytes(const std::vector<std::uint32_t>& extents, const std::vector<std::uint8_t>& numbers,
                             char type = 0x08) {
  std::string text{'\0', '\0', type, static_cast<char>(extents.size())};
  for (const std::uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) text.push_back(static_cast<char>(extent >> shift & 0xFFU));
  }
  text.append(numbers.begin(), numbers.end());
  return text;
}

/// `count` numbers that differ from their neighbours.
inline std::vector<std::uint8_t> some_numbers(std::size_t count) {
  std::vector<std::uint8_t> numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back(static_cast<std::uint8_t>(i * 7 + i / 256));
  return numbers;
}

/// A gzip file of one member.
inline std::string gzip(std::string text) {
  std::string packed(text.size() + text.size() / 1000 + 100, '\0');
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("deflateInit2");
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int result = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate");
  return packed;
}

}  // namespace gpucnn
