#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// Makes untrusted text safe for a terminal. Valid UTF-8 stays. Control characters (C0, DEL and C1) and bytes that are no UTF-8 are
/// escaped as `\x1b`, `\u202e` or `\U000e0001`. So are line separators, and marks that change the direction of writing or cannot be
/// seen. Beyond `longest` bytes of input the text ends in "...". The result has one line. Messages of `gpucnn::Error` are
/// printable.
GPUCNN_API std::string printable(std::string_view text, std::size_t longest = std::string_view::npos);

/// Whether the text is valid UTF-8.
GPUCNN_API bool is_utf8(std::string_view text) noexcept;

}  // namespace gpucnn
