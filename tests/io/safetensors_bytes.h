#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace gpucnn::testing {

/// The memory of some values, which a file holds as it is.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline std::string length_bytes(std::uint64_t length) { return bytes_of(std::vector{length}); }

/// A safetensors file of this header and this data.
inline std::string file_of(const std::string& header, const std::string& data) {
  return length_bytes(header.size()) + header + data;
}

/// The same with `data` bytes of data.
inline std::string file_of(const std::string& header, std::size_t data = 0) { return file_of(header, std::string(data, '\1')); }

/// An entry of a header, as `"weight":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}`.
inline std::string entry_of(const std::string& name, const std::string& dtype, const std::string& shape, std::size_t begin,
                            std::size_t end) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[)" + std::to_string(begin) + "," +
         std::to_string(end) + "]}";
}

/// A file of one tensor, "t".
inline std::string file_of_tensor(const std::string& dtype, const std::string& shape, const std::string& data) {
  return file_of("{" + entry_of("t", dtype, shape, 0, data.size()) + "}", data);
}

}  // namespace gpucnn::testing
