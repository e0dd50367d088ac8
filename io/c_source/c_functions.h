#pragma once

#include <span>
#include <string_view>

namespace gpucnn {

/// A function of the files that export_c writes, in C99. `$` in its text stands for the file's name.
struct CFunction {
  std::string_view name;  ///< without the file's name, as `conv2d`
  std::string_view math;  ///< what it takes from <math.h>; empty: nothing
  bool takes_window;      ///< whether its first argument is a `struct $_window`
  std::string_view text;
};

/// All of them, in the order in which they stand in a file.
std::span<const CFunction> c_functions();

/// The definition of `struct $_window`.
extern const std::string_view kCWindow;

}  // namespace gpucnn
