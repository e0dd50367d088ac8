#include <gpucnn/io/metadata_fields.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/io/safetensors/header.h>

namespace gpucnn {
namespace {

/// The number that a text is, and nothing else.
template <class Number>
std::optional<Number> parsed(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

}  // namespace

std::string to_text(double value) {
  const FloatEnvironment standard;
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string to_text(const std::vector<double>& values) {
  std::string all;
  for (const double value : values) {
    if (!all.empty()) all += ' ';
    all += to_text(value);
  }
  return all;
}

const std::string& MetadataFields::text(std::string_view name) const {
  const auto found = metadata_.find(std::string(name));
  if (found == metadata_.end()) fail(name, "a text", "nothing");
  return found->second;
}

double MetadataFields::number(std::string_view name) const {
  const FloatEnvironment standard;
  const std::string& field = text(name);
  if (const auto value = parsed<double>(field)) return *value;
  fail(name, "a number", field);
}

std::vector<double> MetadataFields::numbers(std::string_view name) const {
  const FloatEnvironment standard;
  const std::string& field = text(name);
  std::vector<double> values;
  for (std::size_t begin = 0, end = 0; !field.empty() && end < field.size(); begin = end + 1) {
    end = std::min(field.find(' ', begin), field.size());
    const auto value = parsed<double>(std::string_view(field).substr(begin, end - begin));
    if (!value) fail(name, "numbers with spaces between them", field);
    values.push_back(*value);
  }
  return values;
}

std::int64_t MetadataFields::integer(std::string_view name, std::int64_t least, std::int64_t most) const {
  const std::string& field = text(name);
  if (const auto value = parsed<std::int64_t>(field); value && *value >= least && *value <= most) return *value;
  fail(name, formatted("a whole number from {} to {}", least, most), field);
}

std::uint64_t MetadataFields::unsigned_integer(std::string_view name) const {
  const std::string& field = text(name);
  if (const auto value = parsed<std::uint64_t>(field)) return *value;
  fail(name, "a whole number from 0 to 2^64 - 1", field);
}

void MetadataFields::fail(std::string_view name, const std::string& expected, std::string_view found) const {
  throw DataError(file_, safetensors::kLengthBytes, formatted("{} as {} in the metadata", expected, name), in_quotes(found));
}

}  // namespace gpucnn
