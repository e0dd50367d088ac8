#include <gpucnn/io/json_list.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxItems = std::size_t{1} << 20;

/// Takes the parser's events one by one, so that nothing but items is kept.
class ListReader final : public nlohmann::json_sax<json> {
 public:
  std::vector<JsonItem> take() { return std::move(items_); }

  bool null() override { fail("null"); }
  bool boolean(bool) override { fail("true or false"); }
  bool number_integer(std::int64_t value) override { return add(static_cast<double>(value)); }  // negative
  bool number_unsigned(std::uint64_t value) override {
    return std::in_range<std::int64_t>(value) ? add(static_cast<std::int64_t>(value)) : add(static_cast<double>(value));
  }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(json::binary_t&) override { fail("binary data"); }
  bool start_object(std::size_t) override { fail("an object"); }
  bool key(std::string&) override { fail("an object"); }
  bool end_object() override { fail("an object"); }
  bool start_array(std::size_t) override {
    if (std::exchange(inside_, true)) fail("a list in a list");
    return true;
  }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { fail("no JSON"); }

 private:
  template <class Item>
  bool add(Item item) {
    if (!inside_) fail("no list");
    if (items_.size() == kMaxItems) fail(formatted("more than {} items", kMaxItems));
    items_.emplace_back(std::move(item));
    return true;
  }
  [[noreturn]] static void fail(const std::string& found) { throw std::invalid_argument(found); }

  bool inside_ = false;
  std::vector<JsonItem> items_;
};

}  // namespace

std::vector<JsonItem> parse_json_list(const std::string& text) {
  const FloatEnvironment standard;  // the parser converts numbers such as 1e999, too, before it refuses them
  ListReader reader;
  json::sax_parse(text, &reader);
  return reader.take();
}

}  // namespace gpucnn
