#pragma once

#include <cstdint>

#include <gpucnn/kernels/simd/vector_size.h>

namespace gpucnn::kernels::cpu {

/// Rows of pixels that patches side by side read.
template <int kRows>
struct PixelRows {
  const float* rows[kRows];  // column 0
  std::int64_t width, C;     // columns, with zeros before and behind them, and channels

  /// From row i of an image on, which is `height` rows. Rows outside of it are `zeros`: as many as a row has.
  PixelRows(const float* image, std::int64_t height, std::int64_t columns, std::int64_t channels, const float* zeros,
            std::int64_t i)
      : width(columns), C(channels) {
    for (int r = 0; r < kRows; ++r) {
      const bool inside = i + r >= 0 && i + r < height;
      rows[r] = inside ? image + (i + r) * width * C : zeros;
    }
  }
};

/// Where transformed patches lie: floats from a tile to the next, from a block of kVector channels, and from one of 16 elements.
struct PatchLayout {
  std::int64_t tile_, block_, element_;

  std::int64_t tile() const { return tile_; }
  std::int64_t block() const { return block_; }
  std::int64_t element() const { return element_; }
};

/// A task has a multiple of kTileUnit tiles, which every micro-kernel's tiles divide. They lie in groups of kTileGroup.
inline constexpr std::int64_t kTileUnit = 12, kTileGroup = 4 * kTileUnit;

/// The patches of a group side by side, then its elements, then its blocks. So an element's address is known to the compiler. A
/// line more than a power of two keeps elements in different sets of the L1 cache.
struct GroupLayout {
  static constexpr std::int64_t tile() { return kVector; }
  static constexpr std::int64_t element() { return kTileGroup * tile() + kVector; }
  static constexpr std::int64_t block() { return 16 * element(); }
  /// Floats from a group of patches of C channels to the next.
  static constexpr std::int64_t group(std::int64_t C) { return round_up(C, kVector) / kVector * block(); }
};

}  // namespace gpucnn::kernels::cpu
