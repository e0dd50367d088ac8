#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/io/protobuf/wire_types.h>

namespace gpucnn::protobuf {

/// The bytes of a file, for messages that say where it is wrong.
struct WireFile {
  std::string name;
  std::string_view bytes;

  /// Throws `DataError`. `at` lies in `bytes`.
  [[noreturn]] void fail(const char* at, const std::string& expected, const std::string& found) const;
};

/// The fields of a message in protobuf's wire format, one by one. Every length is held against the bytes that are there. All calls
/// throw `DataError`.
class WireReader {
 public:
  WireReader(const WireFile& file, std::string_view message) : file_(&file), rest_(message) {}

  /// Reads the next field; false at the end of the message.
  bool next();

  int field() const noexcept { return field_; }
  /// The field, which must be of that kind.
  std::int64_t integer() const;
  float real() const;
  std::string_view bytes() const;
  WireReader message() const { return {*file_, bytes()}; }

  /// Appends what a repeated field of numbers has here: one number, or several that are packed.
  void append(std::vector<std::int64_t>& values) const;
  void append(std::vector<float>& values) const;

  const WireFile& file() const noexcept { return *file_; }
  /// Where the field begins.
  const char* at() const noexcept { return at_; }

 private:
  std::uint64_t varint();
  std::string_view take(std::uint64_t count);
  void require(WireType type) const;

  const WireFile* file_;
  std::string_view rest_;
  const char* at_ = nullptr;
  int field_ = 0;
  WireType type_ = kVarint;
  std::uint64_t number_ = 0;  // of a varint
  std::string_view value_;    // of the others
};

}  // namespace gpucnn::protobuf
