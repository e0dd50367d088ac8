#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gpucnn/core/shape.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/io/safetensors/stored_type.h>

/// A safetensors file is the length of its header (8 bytes, little-endian), the header (JSON), and the tensors' data without gaps.
/// https://github.com/huggingface/safetensors#format
namespace gpucnn::safetensors {

/// The bytes of the length in front of the header.
inline constexpr std::uint64_t kLengthBytes = 8;
/// Longer headers are refused, by the format's definition.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// Where a tensor lies: bytes [begin, end) of the data, which starts after the header.
struct Entry {
  std::string name;
  const StoredType* type = nullptr;
  Shape shape;
  std::string left_out;  // why it cannot be read; then there is no type and no shape
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Header {
  std::vector<Entry> entries;  // in the order of the data
  Metadata metadata;
};

/// The header as a file begins: its length and its JSON, filled up with spaces so that the data is aligned to 8 bytes. Throws
/// `std::invalid_argument` for a text that is not UTF-8.
std::string format_header(const Header& header);

/// Reads the JSON of a header in front of `data_bytes` bytes of data. Throws `DataError`, with `file` and the offset in it, unless
/// the entries are complete, have names of their own and cover the data without gap or overlap. A tensor of a dtype that is not
/// read or of more dimensions than a Shape has is an entry that says so.
Header parse_header(const std::string& file, std::string json, std::uint64_t data_bytes);

}  // namespace gpucnn::safetensors
