#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gpucnn::protobuf {

/// A message in protobuf's wire format, made field by field: https://protobuf.dev/programming-guides/encoding/
class WireWriter {
 public:
  /// A number as a varint.
  void integer(int field, std::int64_t value);
  /// A float in four bytes.
  void real(int field, float value);
  /// A double in eight bytes, and a repeated field of them, packed.
  void real64(int field, double value);
  void reals64(int field, std::span<const double> values);
  /// A text, bytes, or a message: its length and then the bytes.
  void bytes(int field, std::string_view bytes);
  void message(int field, const WireWriter& inner) { bytes(field, inner.text_); }
  /// The same without the bytes, which the caller puts behind what is here.
  void head(int field, std::uint64_t length);

  const std::string& text() const noexcept { return text_; }

 private:
  void varint(std::uint64_t value);
  void tag(int field, unsigned wire_type) { varint(static_cast<std::uint64_t>(field) << 3 | wire_type); }

  std::string text_;
};

}  // namespace gpucnn::protobuf
