#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// A text that may come from anybody, as a terminal can show it without being steered by it: valid UTF-8 stays; control characters
/// (C0, DEL and C1), bytes that are no UTF-8, line separators and marks that change the direction of writing or cannot be
/// seen become `\x1b`, `\u202e` or `\U000e0001`. Beyond `longest` bytes of input the text ends in "...". The result has one line.
/// Messages of `gpucnn::Error` are printable.
GPUCNN_API std::string printable(std::string_view text, std::size_t longest = std::string_view::npos);

}  // namespace gpucnn
