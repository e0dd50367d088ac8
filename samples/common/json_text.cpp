#include "common/json_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace json_text {

using nlohmann::json;

std::string of(const std::string& text) { return json(text).dump(-1, ' ', true, json::error_handler_t::replace); }

std::string of(double number) { return json(number).dump(); }

std::string list(const std::vector<std::string>& items) { return fmt::format("[{}]", fmt::join(items, ",")); }

std::string utf8_list(const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  items.reserve(texts.size());
  for (const std::string& text : texts) items.push_back(json(text).dump());
  return list(items);
}

std::string object(const std::vector<Member>& members, Layout layout) {
  const bool lines = layout == Layout::in_lines;
  std::string text;
  for (const auto& [name, value] : members) {
    if (!text.empty()) text += ',';
    text += lines ? "\n  \"" : "\"";
    text += name;
    text += lines ? "\": " : "\":";
    text += value;
  }
  return '{' + text + (lines ? "\n}" : "}");
}

}  // namespace json_text
