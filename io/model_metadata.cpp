#include <gpucnn/io/model_metadata.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <variant>

#include <gpucnn/core/config.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/io/json_list.h>
#include <gpucnn/io/safetensors/header.h>

namespace gpucnn {
namespace {

constexpr std::array<const char*, 5> kKeys{"model", "num_classes", "class_names", "image_shape", "mean"};

/// Whether the text, and all of it, is a number that fits.
template <class Int>
bool parse(std::string_view text, Int& value) {
  const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && stop == text.data() + text.size();
}

class Reader {
 public:
  Reader(const std::string& file, const Metadata& metadata) : file_(file), metadata_(metadata) {}

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw DataError(file_, safetensors::kLengthBytes, expected, found);
  }

  /// The value of a key that must be there.
  const std::string& text(const char* key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) fail(formatted("{} in the metadata", key), "none");
    return found->second;
  }

  template <class Int>
  Int whole_number(const char* key) const {
    Int value = 0;
    if (!parse(text(key), value) || value < 1) fail_value(formatted("a whole number of 1 or more as {}", key), key);
    return value;
  }

  /// A list of items that are all of one type.
  template <class Item>
  std::vector<Item> list(const char* key, const std::string& expected) const {
    std::vector<Item> values;
    for (JsonItem& item : items(key, expected)) {
      auto* value = std::get_if<Item>(&item);
      if (!value) fail_value(expected, key);
      values.push_back(std::move(*value));
    }
    return values;
  }

  /// A list of numbers, whole ones among them.
  std::vector<double> numbers(const char* key, const std::string& expected) const {
    std::vector<double> values;
    for (const JsonItem& item : items(key, expected)) {
      if (std::holds_alternative<std::string>(item)) fail_value(expected, key);
      const auto* whole = std::get_if<std::int64_t>(&item);
      values.push_back(whole ? static_cast<double>(*whole) : std::get<double>(item));
    }
    return values;
  }

  [[noreturn]] void fail_value(const std::string& expected, const char* key) const {
    fail(formatted("{} in the metadata", expected), in_quotes(text(key)));
  }

 private:
  std::vector<JsonItem> items(const char* key, const std::string& expected) const {
    try {
      return parse_json_list(text(key));
    } catch (const std::invalid_argument&) {
      fail_value(expected, key);
    }
  }

  const std::string& file_;
  const Metadata& metadata_;
};

void require_ours(const Reader& reader, const Metadata& metadata) {
  if (std::ranges::any_of(kKeys, [&](const char* key) { return metadata.contains(key); })) return;
  reader.fail("metadata of a training, such as model and class_names",
              "none; make the network in your program, and give load_state_dict what load_safetensors reads");
}

/// A version as "1.2.3".
std::optional<std::array<int, 3>> parse_version(std::string_view text) {
  std::array<int, 3> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = i + 1 < parts.size() ? text.find('.') : text.size();
    if (end == std::string_view::npos || !parse(text.substr(0, end), parts[i]) || parts[i] < 0) return std::nullopt;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

void check_version(const Reader& reader) {
  const std::optional<std::array<int, 3>> version = parse_version(reader.text("version"));
  if (!version) reader.fail_value("a version such as 1.2.3 as version", "version");
  if (*version > *parse_version(kVersion)) {
    reader.fail(formatted("a checkpoint of version {} or older", kVersion),
                formatted("one of version {}; a newer libgpucnn reads it", reader.text("version")));
  }
}

Shape image_shape(const Reader& reader) {
  const char* expected = "three whole numbers of 1 or more, [C, H, W], as image_shape";
  const std::vector<std::int64_t> extents = reader.list<std::int64_t>("image_shape", expected);
  const bool fits = extents.size() == 3 && std::ranges::all_of(extents, [](std::int64_t extent) {
                      return extent >= 1 && extent <= std::numeric_limits<std::int32_t>::max();
                    });
  std::int64_t pixels = 1;
  if (!fits || std::ranges::any_of(extents, [&](std::int64_t extent) { return __builtin_mul_overflow(pixels, extent, &pixels); })) {
    reader.fail_value(expected, "image_shape");
  }
  return Shape::from(extents);
}

std::vector<double> channel_values(const Reader& reader, const char* key, std::int64_t channels, bool positive) {
  const std::string expected =
      formatted("{} finite number{} {}as {}", channels, channels == 1 ? "" : "s", positive ? "above 0 " : "", key);
  std::vector<double> values = reader.numbers(key, expected);
  const auto is_wrong = [positive](double value) {
    const auto rounded = static_cast<float>(value);  // as Normalize rounds it
    return !std::isfinite(rounded) || (positive && (rounded <= 0 || !std::isfinite(1 / rounded)));
  };
  if (std::ssize(values) != channels || std::ranges::any_of(values, is_wrong)) reader.fail_value(expected, key);
  return values;
}

}  // namespace

ModelMetadata parse_model_metadata(const std::string& file, const Metadata& metadata) {
  const Reader reader(file, metadata);
  require_ours(reader, metadata);
  check_version(reader);
  ModelMetadata result{.model = reader.text("model")};
  if (!reader.text("width").empty()) result.width = reader.whole_number<int>("width");
  const auto num_classes = reader.whole_number<std::int64_t>("num_classes");
  result.class_names = reader.list<std::string>("class_names", "a list of texts as class_names");
  if (std::ssize(result.class_names) != num_classes) {
    reader.fail(formatted("{} class_names, as num_classes says, in the metadata", num_classes),
                formatted("{}", result.class_names.size()));
  }
  result.image_shape = image_shape(reader);
  result.normalize.mean = channel_values(reader, "mean", result.image_shape[0], /*positive=*/false);
  result.normalize.std = channel_values(reader, "std", result.image_shape[0], /*positive=*/true);
  return result;
}

}  // namespace gpucnn
