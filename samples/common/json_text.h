#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// JSON as text, made member by member. nlohmann-json's objects and lists take memory while they are destroyed, which ends a
/// program that has none left.
namespace json_text {

/// A text in ASCII, without control characters; bytes that are no UTF-8 become U+FFFD.
std::string of(const std::string& text);
/// A number, or null for what is none.
std::string of(double number);
/// A list of what is JSON already.
std::string list(const std::vector<std::string>& items);
template <class Item>
std::string of(const std::vector<Item>& items) {
  std::vector<std::string> texts;
  texts.reserve(items.size());
  for (const Item& item : items) texts.push_back(of(item));
  return list(texts);
}

/// A list of texts in UTF-8. Throws `nlohmann::json::type_error` for bytes that are none.
std::string utf8_list(const std::vector<std::string>& texts);

using Member = std::pair<std::string, std::string>;

enum class Layout { in_one_line, in_lines };

/// An object of names and the JSON of their values.
std::string object(const std::vector<Member>& members, Layout layout);

}  // namespace json_text
