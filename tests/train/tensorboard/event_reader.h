#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace gpucnn::testing {

/// A field of a protobuf message: a number, or bytes.
struct Field {
  std::uint64_t number = 0;
  std::string_view bytes;

  double real64() const { return from<double>(bytes); }
  float real() const { return from<float>(bytes); }
  template <class T>
  static T from(std::string_view bytes) {
    T value;
    if (bytes.size() != sizeof value) throw std::runtime_error("a field of another size");
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
};

inline std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(rest.at(0));
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

/// The fields of a message by their numbers; of those that repeat, the last.
inline std::map<std::uint64_t, Field> fields_of(std::string_view message) {
  std::map<std::uint64_t, Field> fields;
  while (!message.empty()) {
    const std::uint64_t tag = take_varint(message);
    Field& field = fields[tag >> 3];
    if ((tag & 7) == 0) {
      field.number = take_varint(message);
      continue;
    }
    const std::uint64_t size = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : take_varint(message);
    field.bytes = message.substr(0, size);
    message.remove_prefix(size);
  }
  return fields;
}

/// The records of an event file, whose lengths must fit. Checksums are not looked at.
inline std::vector<std::string_view> records_of(std::string_view file) {
  std::vector<std::string_view> records;
  while (!file.empty()) {
    const auto size = Field::from<std::uint64_t>(file.substr(0, 8));
    records.push_back(file.substr(12, size));
    if (records.back().size() != size || file.size() < size + 16) throw std::runtime_error("a record that is cut off");
    file.remove_prefix(size + 16);
  }
  return records;
}

inline std::vector<double> doubles_of(std::string_view bytes) {
  std::vector<double> values;
  for (; !bytes.empty(); bytes.remove_prefix(8)) values.push_back(Field::from<double>(bytes.substr(0, 8)));
  return values;
}

}  // namespace gpucnn::testing
