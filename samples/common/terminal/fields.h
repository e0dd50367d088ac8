#pragma once

#include <cstddef>
#include <string>
#include <vector>

/// A part of a line, such as "loss 2.3026".
struct Field {
  std::string text;
  int rank;                // the lowest is left out first where there is no room for all
  std::string gap = "  ";  // between it and the field before it
  std::string brief = {};  // stands for `text` where there is no room for all; empty: there is no shorter one
};

/// The fields side by side, as many as `width` columns hold; one that is left out is left out whole. The last that is left shows
/// its end, such as a number, where even that is too long.
std::string fit_fields(std::vector<Field> fields, std::size_t width);
