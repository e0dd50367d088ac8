#pragma once

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn {

/// A number for each side of an image: `.padding = Sides{.bottom = 1, .right = 1}`.
struct Sides {
  int top = 0;
  int bottom = 0;
  int left = 0;
  int right = 0;
};

/// Rows and columns of zeros around an image: 1 on every side, {1, 2} above and below and at left and right, or `Sides`.
struct Padding2d {
  int top = 0;
  int bottom = 0;
  int left = 0;
  int right = 0;
  bool is_same = false;  ///< whether it is `same`; the sides are then 0

  constexpr Padding2d(int all) : Padding2d(all, all) {}                    // NOLINT: implicit, as in PyTorch
  constexpr Padding2d(Size2 both) : Padding2d(both.height, both.width) {}  // NOLINT: the same
  constexpr Padding2d(int height, int width) : top(height), bottom(height), left(width), right(width) {}
  constexpr Padding2d(const Sides& sides)  // NOLINT: the same
      : top(sides.top), bottom(sides.bottom), left(sides.left), right(sides.right) {}
  bool operator==(const Padding2d&) const = default;

  /// What comes before the first row and the first column.
  constexpr Size2 before() const { return {top, left}; }

  /// PyTorch's "same": as much as keeps the image's size at a stride of 1. The odd one is at the bottom and at the right.
  static const Padding2d same;  // NOLINT(readability-identifier-naming): PyTorch's word
  /// PyTorch's "valid": none.
  static const Padding2d valid;  // NOLINT(readability-identifier-naming): the same

 private:
  struct Same {};
  explicit constexpr Padding2d(Same) : is_same(true) {}
};

inline constexpr Padding2d Padding2d::same{Padding2d::Same{}};
inline constexpr Padding2d Padding2d::valid{0};

}  // namespace gpucnn
