#pragma once

#include <string>
#include <string_view>

#include <fmt/core.h>

namespace gpucnn {

/// What `formatted` calls once the arguments have no types any more. In one file, so that fmt's code is compiled once: in each
/// file that writes a message it took four fifths of the time to compile it.
std::string format_arguments(fmt::string_view text, fmt::format_args arguments);

/// Text with values, as `std::format` writes it. The compiler checks that the arguments fit.
template <class... Values>
std::string formatted(fmt::format_string<Values...> text, Values&&... values) {
  return format_arguments(text, fmt::make_format_args(values...));
}

/// The values of a range one after another, with `separator` between two: 1, 2, 3.
template <class Range>
std::string joined(const Range& values, std::string_view separator) {
  std::string text;
  for (bool first = true; const auto& value : values) {
    if (!first) text += separator;
    first = false;
    text += formatted("{}", value);
  }
  return text;
}

}  // namespace gpucnn
