#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace gpucnn {

/// An item of a list: a whole number from 0 to 2^63 - 1, another number, or a text.
using JsonItem = std::variant<std::int64_t, double, std::string>;

/// The items of a list in JSON, at most 2^20 of them. Throws `std::invalid_argument` that says what stands there instead.
std::vector<JsonItem> parse_json_list(const std::string& text);

}  // namespace gpucnn
