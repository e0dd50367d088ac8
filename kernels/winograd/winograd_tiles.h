#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/simd/vector_size.h>

namespace gpucnn::kernels::cpu {

/// Floats from one input channel to the next in the packed weights: two of the largest vectors of output channels.
inline constexpr std::int64_t kPanel = 2 * kVector;

/// A 3x3 convolution with padding 1 and what its tasks share. A tile is 2x2 pixels of y, computed from a patch of 4x4 pixels of x.
/// Tiles are numbered through all images, row by row. Behind odd extents a tile has rows or columns that are not stored.
struct WinogradTiles {
  std::int64_t N, C, K, H, W;  // C: of x, K: of y
  const float* x;              // [N][H][W][C]
  float* y;                    // [N][H][W][K]
  const float* zeros;          // [C]: a pixel of the padding
  const float* transforms;     // [16][panels][C][kPanel]
  const float* weights;        // [9][panels][C][kPanel], for tiles that are computed directly; null until there is one
  const float* bias;           // [panels][kPanel]
  Activation epilogue;
  float max_energy;      // up to which sum of squares of a patch no product overflows
  std::uint8_t* direct;  // for each tile, whether it must be computed directly

  std::int64_t rows() const { return (H + 1) / 2; }
  std::int64_t columns() const { return (W + 1) / 2; }
  std::int64_t tiles() const { return N * rows() * columns(); }
  std::int64_t panels() const { return (K + kPanel - 1) / kPanel; }
  /// Pixel (i, j) of image n; zeros outside of it.
  const float* pixel(std::int64_t n, std::int64_t i, std::int64_t j) const {
    return i < 0 || i >= H || j < 0 || j >= W ? zeros : x + ((n * H + i) * W + j) * C;
  }
};

/// Where a tile lies: its first pixel in image n.
struct TilePlace {
  std::int64_t n, i, j;

  TilePlace(const WinogradTiles& all, std::int64_t tile)
      : n(tile / (all.rows() * all.columns())), i(2 * (tile / all.columns() % all.rows())), j(2 * (tile % all.columns())) {}
};

/// How packed weights lie: floats from a tap to the next, from a panel, and in all.
inline std::int64_t panel_size(std::int64_t C) { return C * kPanel; }
inline std::int64_t packed_size(std::int64_t taps, std::int64_t C, std::int64_t K) {
  return taps * panel_size(C) * round_up(K, kPanel) / kPanel;
}

/// Scratch of a task of up to `tiles` tiles: offsets between the 16 elements. A line more than a power of two keeps them in
/// different sets of the L1 cache.
struct TaskScratch {
  std::int64_t patches, products;  // floats from an element to the next

  TaskScratch(std::int64_t tiles, std::int64_t C)
      : patches(tiles * round_up(C, kVector) + kVector), products(tiles * kPanel + kVector) {}
  std::int64_t size() const { return 16 * (patches + products); }
};

}  // namespace gpucnn::kernels::cpu
