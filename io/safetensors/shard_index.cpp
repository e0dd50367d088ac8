#include <gpucnn/io/safetensors/shard_index.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn::safetensors {
namespace {

using nlohmann::json;

constexpr std::string_view kMap = "weight_map";

/// Whether the name is that of a file in the folder, and not of one elsewhere.
bool stays_in_folder(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

/// Takes the parser's events one by one and keeps the map alone, however deep the rest is.
class IndexReader final : public nlohmann::json_sax<json> {
 public:
  IndexReader(const std::string& file, std::istream& text) : file_(file), text_(text) {}

  ShardIndex take() {
    if (!has_map_) fail("a weight_map", "none");
    return std::move(index_);
  }

  bool null() override { return scalar("null"); }
  bool boolean(bool) override { return scalar("true or false"); }
  bool number_integer(std::int64_t) override { return scalar("a number"); }
  bool number_unsigned(std::uint64_t) override { return scalar("a number"); }
  bool number_float(double, const std::string&) override { return scalar("a number"); }
  bool binary(json::binary_t&) override { return scalar("binary data"); }

  bool string(std::string& value) override {
    if (!in_map()) return scalar("a text");
    if (!stays_in_folder(value)) fail(formatted("a file beside the index for tensor {}", in_quotes(key_)), in_quotes(value));
    if (!index_.emplace(key_, std::move(value)).second) fail("every name once", formatted("{} twice", in_quotes(key_)));
    return true;
  }

  bool key(std::string& value) override {
    if (depth_ == 1) at_map_ = value == kMap;
    if (depth_ == 1 && at_map_ && std::exchange(has_map_, true)) fail("one weight_map", "a second one");
    key_ = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    if (in_map()) scalar("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0 || in_map() || at_value_of_map()) scalar("a list");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool parse_error(std::size_t, const std::string& last, const nlohmann::detail::exception&) override {
    fail("an index in JSON", formatted("a syntax error at {}", in_quotes(last)));
  }

 private:
  bool in_map() const { return at_map_ && depth_ == 2; }
  bool at_value_of_map() const { return at_map_ && depth_ == 1; }

  /// What is no part of the map may be anything.
  bool scalar(const char* found) const {
    if (depth_ == 0) fail("a JSON object with a weight_map", found);
    if (at_value_of_map()) fail("an object as weight_map", found);
    if (in_map()) fail(formatted("the name of a file for tensor {}", in_quotes(key_)), found);
    return true;
  }

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    const auto read = static_cast<std::int64_t>(text_.rdbuf()->pubseekoff(0, std::ios::cur, std::ios::in));
    throw DataError(file_, static_cast<std::uint64_t>(std::max<std::int64_t>(read, 1) - 1), expected, found);
  }

  const std::string& file_;
  std::istream& text_;
  ShardIndex index_;
  std::string key_;
  std::size_t depth_ = 0;
  bool at_map_ = false;  // whether the last key of the outer object is weight_map
  bool has_map_ = false;
};

}  // namespace

ShardIndex parse_shard_index(const std::string& file, std::string text) {
  const FloatEnvironment standard;  // the parser converts numbers such as 1e999, too, before it hands them over
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos) {  // which the parser would take for the end
    throw DataError(file, zero, "an index in JSON", "a zero byte");
  }
  std::istringstream stream(std::move(text));
  IndexReader reader(file, stream);
  json::sax_parse(stream, &reader);
  return reader.take();
}

}  // namespace gpucnn::safetensors
