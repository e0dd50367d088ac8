#include <gpucnn/io/protobuf/wire_writer.h>

#include <bit>

#include <gpucnn/io/protobuf/wire_types.h>

namespace gpucnn::protobuf {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

void WireWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
  text_ += static_cast<char>(value);
}

void WireWriter::integer(int field, std::int64_t value) {
  tag(field, kVarint);
  varint(static_cast<std::uint64_t>(value));
}

void WireWriter::real(int field, float value) {
  tag(field, kFixed32);
  text_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void WireWriter::real64(int field, double value) {
  tag(field, kFixed64);
  text_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void WireWriter::reals64(int field, std::span<const double> values) {
  bytes(field, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

void WireWriter::head(int field, std::uint64_t length) {
  tag(field, kBytes);
  varint(length);
}

void WireWriter::bytes(int field, std::string_view bytes) {
  head(field, bytes.size());
  text_ += bytes;
}

}  // namespace gpucnn::protobuf
