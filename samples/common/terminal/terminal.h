#pragma once

#include <cstddef>

/// Back to the start of the line, and erase it.
inline constexpr const char* kClearLine = "\r\x1b[K";

/// What standard output is.
struct Terminal {
  bool is_one = false;     // and not a file or a pipe
  bool can_erase = false;  // whether it knows escape sequences and the user has not asked for none (TERM, NO_COLOR)

  static Terminal of_standard_output();

  /// Columns at this moment, for a window may be resized; no more than COLUMNS says.
  static std::size_t width();
};
