#include "common/read_json.h"

using nlohmann::json;

json read_json(const std::string& text) {
  constexpr int kMaxDepth = 16;
  bool is_deep = false;
  // False leaves a value out, so that what is too deep takes no memory either.
  const auto keep = [&is_deep](int depth, json::parse_event_t, json&) {
    is_deep = is_deep || depth > kMaxDepth;
    return !is_deep;
  };
  json read = json::parse(text, keep, /*allow_exceptions=*/false);
  return is_deep ? json(json::value_t::discarded) : read;
}
