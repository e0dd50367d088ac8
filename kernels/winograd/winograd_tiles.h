#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/simd/vector_size.h>

namespace gpucnn::kernels::cpu {

/// Floats from one input channel to the next in the packed weights: two of the largest vectors of output channels.
inline constexpr std::int64_t kPanel = 2 * kVector;

/// A 3x3 convolution with padding 1 and what its tasks share. A tile is 2x2 pixels of y, computed from a patch of 4x4 pixels of x.
/// Tiles are numbered through all images, row by row. Behind odd extents a tile has rows or columns that are not stored.
struct WinogradTiles {
  std::int64_t N, C, K, H, W;         // C: of x, K: of y
  const float* x;                     // [N][H][W][C]
  float* y;                           // [N][H][W][K]
  const float* zeros = nullptr;       // [C]: a pixel of the padding
  const float* transforms = nullptr;  // [panels][16][C][kPanel]: a task that computes one panel reads them in one go
  const float* raw = nullptr;         // in their place: [K][3][3][C], which tasks transform
  bool exchanged = false;             // then they are [C][3][3][K], to be turned
  const float* weights = nullptr;     // [panels][9][C][kPanel], for tiles that are computed directly; null until there is one
  const float* bias = nullptr;        // [panels][kPanel]
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

  /// The tile behind it, without the divisions.
  void next(const WinogradTiles& all) {
    if ((j += 2) < all.W) return;
    j = 0;
    if ((i += 2) < all.H) return;
    i = 0;
    ++n;
  }
  /// Whether no pixel of the patch lies in the padding.
  bool is_inside(const WinogradTiles& all) const { return i > 0 && j > 0 && i + 2 < all.H && j + 2 < all.W; }
};

/// How packed weights lie: floats from a tap of a panel to the next, and in all.
inline std::int64_t tap_size(std::int64_t C) { return C * kPanel; }
inline std::int64_t packed_size(std::int64_t taps, std::int64_t C, std::int64_t K) {
  return taps * tap_size(C) * round_up(K, kPanel) / kPanel;
}

/// The transformed patches of up to `capacity` neighbouring tiles: 16 elements, each of blocks of kVector channels. A line more
/// than a power of two keeps elements in different sets of the L1 cache. `capacity`: a multiple of every micro-kernel's rows.
struct Patches {
  std::int64_t block, element;  // floats from a block to the next, and from an element
  float* data = nullptr;

  Patches(std::int64_t capacity, std::int64_t C) : block(capacity * kVector), element(capacity * round_up(C, kVector) + kVector) {}
  std::int64_t size() const { return 16 * element; }
};

/// The same of products with a panel's weights: floats from an element to the next.
inline std::int64_t products_of(std::int64_t capacity) { return capacity * kPanel + kVector; }

}  // namespace gpucnn::kernels::cpu
