#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/io/safetensors.h>

namespace gpucnn {

/// A number as a text from which the same bits are read back. Infinities and NaN are numbers, too.
std::string to_text(double value);
/// Numbers with spaces between them.
std::string to_text(const std::vector<double>& values);

/// Reads a file's metadata. Whatever is not there, or is not what is asked for, throws `DataError` that names file and field.
class MetadataFields {
 public:
  /// Refers to both.
  MetadataFields(const std::string& file, const Metadata& metadata) : file_(file), metadata_(metadata) {}

  const std::string& text(std::string_view name) const;
  double number(std::string_view name) const;
  std::vector<double> numbers(std::string_view name) const;
  /// A whole number from `least` to `most`.
  std::int64_t integer(std::string_view name, std::int64_t least = 0,
                       std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
  std::uint64_t unsigned_integer(std::string_view name) const;

 private:
  [[noreturn]] void fail(std::string_view name, const std::string& expected, std::string_view found) const;

  const std::string& file_;
  const Metadata& metadata_;
};

}  // namespace gpucnn
