#include <gpucnn/io/onnx/wire_writer.h>

#include <bit>

#include <gpucnn/io/onnx/wire_types.h>

namespace gpucnn::onnx {

void WireWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
  text_ += static_cast<char>(value);
}

void WireWriter::integer(int field, std::int64_t value) {
  tag(field, kVarint);
  varint(static_cast<std::uint64_t>(value));
}

void WireWriter::real(int field, float value) {
  static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");
  tag(field, kFixed32);
  text_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void WireWriter::head(int field, std::uint64_t length) {
  tag(field, kBytes);
  varint(length);
}

void WireWriter::bytes(int field, std::string_view bytes) {
  head(field, bytes.size());
  text_ += bytes;
}

}  // namespace gpucnn::onnx
