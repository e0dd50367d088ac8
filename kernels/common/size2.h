#pragma once

#include <compare>

namespace gpucnn {

/// A height and a width; one number stands for both.
struct Size2 {
  int height = 0;
  int width = 0;

  constexpr Size2(int both) : height(both), width(both) {}  // NOLINT: implicit, as in PyTorch
  constexpr Size2(int height_, int width_) : height(height_), width(width_) {}
  bool operator==(const Size2&) const = default;
};

}  // namespace gpucnn
