#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/simd/vector_size.h>
#include <gpucnn/kernels/winograd/patch_layout.h>

namespace gpucnn::kernels::cpu {

/// Floats from one input channel to the next in the packed weights: two of the largest vectors of output channels.
inline constexpr std::int64_t kPanel = 2 * kVector;

/// A 3x3 convolution with padding 1 and what its tasks share. A tile is 2x2 pixels of y, computed from a patch of 4x4 pixels of x.
/// Tiles are numbered through all images, row by row. Behind odd extents a tile has rows or columns that are not stored.
struct WinogradTiles {
  std::int64_t N, C, K, H, W;         // C: of x, K: of y
  const float* x;                     // [N][H][W][C]
  float* y;                           // [N][H][W][K]
  const float* zeros = nullptr;       // [W][C], and [W][K] if gradients are expanded: a row of the padding
  const float* transforms = nullptr;  // [panels][16][C][kPanel]: a task that computes one panel reads them in one go
  const float* taps = nullptr;        // in their place: [panels][C][9][kPanel], which tasks transform piece by piece
  const float* raw = nullptr;         // in place of both: [K][3][3][C], which tasks transform
  bool exchanged = false;             // then they are [C][3][3][K], to be turned
  const float* bias = nullptr;        // [panels][kPanel]
  const float* addend = nullptr;      // as y: added before the epilogue
  const float* relu_made = nullptr;   // in its place, as y: a ReLU's result, whose backward is the epilogue
  Activation epilogue;
  float floor = -std::numeric_limits<float>::infinity();  // outputs below it become 0: 0 for ReLU
  float max_energy = 0;                                   // up to which sum of squares of a patch no product overflows
  std::uint8_t* direct = nullptr;                         // for each tile, whether it must be computed directly

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

/// How packed weights lie: floats from an element of a panel to the next where they are transformed, else from an input channel to
/// the next, and in all.
inline std::int64_t tap_size(std::int64_t C) { return C * kPanel; }
inline constexpr std::int64_t kInputTaps = 9 * kPanel;
inline std::int64_t packed_size(std::int64_t taps, std::int64_t C, std::int64_t K) {
  return taps * tap_size(C) * round_up(K, kPanel) / kPanel;
}

/// The rows of pixels that a tile's patch reads.
inline PixelRows<4> patch_rows(const WinogradTiles& all, const TilePlace& at) {
  return {all.x + at.n * all.H * all.W * all.C, all.H, all.W, all.C, all.zeros, at.i - 1};
}

/// How a group's products with a panel's weights lie: floats from an element to the next, and from a group to the next.
inline constexpr std::int64_t kProductElement = kTileGroup * kPanel + kVector, kGroupProducts = 16 * kProductElement;

}  // namespace gpucnn::kernels::cpu
