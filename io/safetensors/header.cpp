#include <gpucnn/io/safetensors/header.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn::safetensors {
namespace {

using nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";

/// Takes the parser's events one by one, so that whatever a file says, no more is kept of it than a header can hold.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  HeaderReader(const std::string& file, std::istream& text) : file_(file), text_(text) {}

  Header take() { return std::move(header_); }

  bool null() override { fail(wanted(), "null"); }
  bool boolean(bool value) override { fail(wanted(), value ? "true" : "false"); }
  bool number_integer(std::int64_t value) override { fail(wanted(), std::to_string(value)); }  // negative: see number_unsigned
  bool number_float(double, const std::string& text) override { fail(wanted(), printable(text, kMaxNameBytes)); }
  bool binary(json::binary_t&) override { fail(wanted(), "binary data"); }

  bool number_unsigned(std::uint64_t value) override {
    if (in_ == In::shape && std::in_range<std::int64_t>(value)) {
      add_extent(static_cast<std::int64_t>(value));
    } else if (in_ == In::offsets && offsets_.size() < 2) {
      offsets_.push_back(value);
    } else {
      fail(wanted(), std::to_string(value));
    }
    return true;
  }

  bool string(std::string& value) override {
    if (in_ == In::metadata) {
      header_.metadata[key_] = std::move(value);
    } else if (in_ == In::entry && key_ == "dtype") {
      entry_.type = find_stored_type(value);
      if (!entry_.type) entry_.left_out = formatted("the file holds it as {}, which is not read", in_quotes(value));
    } else {
      fail(wanted(), in_quotes(value));
    }
    return true;
  }

  bool key(std::string& value) override {
    if (in_ == In::entry && value != "dtype" && value != "shape" && value != "data_offsets") {
      fail(formatted("dtype, shape and data_offsets of tensor {}", in_quotes(entry_.name)), in_quotes(value));
    }
    auto& known = in_ == In::header ? names_ : keys_;
    if (!known.insert(value).second) fail("every name once", formatted("{} twice", in_quotes(value)));
    key_ = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    if (in_ == In::file) {
      in_ = In::header;
    } else if (in_ == In::header) {
      keys_.clear();
      in_ = key_ == kMetadata ? In::metadata : In::entry;
      if (in_ == In::entry) entry_ = Entry{.name = key_};
    } else {
      fail(wanted(), "an object");
    }
    return true;
  }

  bool end_object() override {
    if (in_ == In::entry) finish_entry();
    in_ = in_ == In::header ? In::file : In::header;
    return true;
  }

  bool start_array(std::size_t) override {
    if (in_ == In::entry && key_ == "shape") {
      in_ = In::shape;
      extents_.clear();
      rank_ = 0;
      numel_ = 1;
    } else if (in_ == In::entry && key_ == "data_offsets") {
      in_ = In::offsets;
      offsets_.clear();
    } else {
      fail(wanted(), "a list");
    }
    return true;
  }

  bool end_array() override {
    if (in_ == In::offsets && offsets_.size() != 2) fail(wanted(), "only " + std::to_string(offsets_.size()));
    in_ = In::entry;
    return true;
  }

  bool parse_error(std::size_t, const std::string& last, const nlohmann::detail::exception&) override {
    fail("a header in JSON", formatted("a syntax error at {}", in_quotes(last)));
  }

 private:
  enum class In { file, header, metadata, entry, shape, offsets };

  /// What the next value must be.
  std::string wanted() const {
    const std::string tensor = in_quotes(in_ == In::header ? key_ : entry_.name);
    switch (in_) {
      case In::file: return "a JSON object";
      case In::header:
        return key_ == kMetadata ? "an object of texts as __metadata__" : "an object that describes tensor " + tensor;
      case In::metadata: return formatted("a text as __metadata__ {}", in_quotes(key_));
      case In::shape: return formatted("whole numbers from 0 to 2^63 - 1 in the shape of tensor {}", tensor);
      case In::offsets: return formatted("two data_offsets from 0 to 2^64 - 1 of tensor {}", tensor);
      case In::entry: break;
    }
    if (key_ == "dtype") return formatted("a text as dtype of tensor {}", tensor);
    return formatted("a list as {} of tensor {}", key_, tensor);
  }

  void add_extent(std::int64_t extent) {
    if (++rank_ <= Shape::kMaxRank) extents_.push_back(extent);
    std::int64_t product = 0;
    if (!numel_ || __builtin_mul_overflow(*numel_, extent, &product)) {
      numel_.reset();
    } else {
      numel_ = product;
    }
  }

  void finish_entry() {
    if (keys_.size() != 3)
      fail(formatted("dtype, shape and data_offsets of tensor {}", in_quotes(entry_.name)), "only some of them");
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    if (entry_.type) check_bytes();
    if (entry_.type && rank_ > Shape::kMaxRank) {
      entry_.left_out = formatted("it has {} dimensions, and at most {} are read", rank_, Shape::kMaxRank);
      entry_.type = nullptr;
    }
    if (entry_.type) {
      entry_.shape = Shape::from(extents_);
    } else if (entry_.end < entry_.begin) {
      fail(formatted("data_offsets of tensor {} in order", in_quotes(entry_.name)), range());
    }
    header_.entries.push_back(std::move(entry_));
  }

  void check_bytes() const {
    const std::string shape =
        formatted("[{}{}] of {}", joined(extents_, ", "), rank_ > Shape::kMaxRank ? ", ..." : "", entry_.type->name);
    std::int64_t bytes = 0;
    if (!numel_ || __builtin_mul_overflow(*numel_, static_cast<std::int64_t>(entry_.type->bytes), &bytes)) {
      fail(formatted("a shape of tensor {} whose bytes 63 bits count", in_quotes(entry_.name)), shape);
    }
    if (entry_.end < entry_.begin || entry_.end - entry_.begin != static_cast<std::uint64_t>(bytes)) {
      fail(formatted("data_offsets of tensor {} {} bytes apart for {}", in_quotes(entry_.name), bytes, shape), range());
    }
  }

  std::string range() const { return formatted("[{}, {}]", entry_.begin, entry_.end); }

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    // The parser has read the first byte that it does not like, and not more than one behind it.
    const auto read = static_cast<std::int64_t>(text_.rdbuf()->pubseekoff(0, std::ios::cur, std::ios::in));
    throw DataError(file_, kLengthBytes + static_cast<std::uint64_t>(std::max<std::int64_t>(read, 1) - 1), expected, found);
  }

  const std::string& file_;
  std::istream& text_;
  Header header_;
  In in_ = In::file;
  std::string key_;
  std::set<std::string, std::less<>> names_, keys_;  // of the header, of the object in it; see StateDict on why they are ordered
  Entry entry_;
  std::vector<std::int64_t> extents_;  // as many as a Shape has; of all, rank_ is the number and numel_ the product, in 63 bits
  std::size_t rank_ = 0;
  std::optional<std::int64_t> numel_;
  std::vector<std::uint64_t> offsets_;
};

/// Sorts the entries as their data lies and checks that they fill it.
void check_cover(const std::string& file, std::vector<Entry>& entries, std::uint64_t data_start, std::uint64_t data_bytes) {
  std::ranges::stable_sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  std::uint64_t covered = 0;
  for (const Entry& entry : entries) {
    const auto range = [&entry] { return formatted("tensor {} at [{}, {})", in_quotes(entry.name), entry.begin, entry.end); };
    if (entry.begin != covered) {
      throw DataError(file, data_start + covered, formatted("a tensor at data offset {}", covered), range());
    }
    if (entry.end > data_bytes) {
      throw DataError(file, data_start + data_bytes, range(), formatted("only {} bytes of data", data_bytes));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    throw DataError(file, data_start + covered, "the end of the file", formatted("{} bytes more", data_bytes - covered));
  }
}

std::string to_json(const std::string& text) {
  try {
    return json(text).dump();
  } catch (const json::type_error&) {
    throw std::invalid_argument(formatted("save_safetensors: {} is not UTF-8", in_quotes(text)));
  }
}

}  // namespace

Header parse_header(const std::string& file, std::string text, std::uint64_t data_bytes) {
  const FloatEnvironment standard;  // the parser converts numbers such as 1e999, too, before it hands them over
  const std::uint64_t data_start = kLengthBytes + text.size();
  if (!text.starts_with('{')) throw DataError(file, kLengthBytes, "a header that begins with {", in_quotes(text));
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos) {  // which the parser would take for the end
    throw DataError(file, kLengthBytes + zero, "a header in JSON", "a zero byte");
  }
  std::istringstream stream(std::move(text));
  HeaderReader reader(file, stream);
  json::sax_parse(stream, &reader);
  Header header = reader.take();
  check_cover(file, header.entries, data_start, data_bytes);
  return header;
}

std::string format_header(const Header& header) {
  std::vector<std::string> members;
  if (!header.metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, text] : header.metadata) texts.push_back(formatted("{}:{}", to_json(key), to_json(text)));
    members.push_back(formatted("\"{}\":{{{}}}", kMetadata, joined(texts, ",")));
  }
  for (const Entry& entry : header.entries) {
    if (entry.name == kMetadata) throw std::invalid_argument("save_safetensors: a tensor cannot be named __metadata__");
    members.push_back(formatted(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", to_json(entry.name), entry.type->name,
                                joined(entry.shape, ","), entry.begin, entry.end));
  }
  std::string text = formatted("{{{}}}", joined(members, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeaderBytes) throw std::invalid_argument("save_safetensors: the names and texts exceed a header's 100 MB");
  static_assert(std::endian::native == std::endian::little, "the length and the data are written as they lie in memory");
  const std::uint64_t length = text.size();
  text.insert(0, reinterpret_cast<const char*>(&length), sizeof length);
  return text;
}

}  // namespace gpucnn::safetensors
