#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/gemm/gemm_panel.h>

namespace gpucnn::kernels::cpu {

/// Elements of a transformed patch of 4x4 pixels.
inline constexpr std::int64_t kElements = 16;

/// A 5x5 window is four pieces of 3x3: along a side, taps 0, 1 and a zero, and taps 2, 3 and 4. The second piece's patch of a tile
/// is the first one's of the next tile. The transformed weights of the first piece end with a zero, which is left out.
struct WindowPieces {
  static constexpr std::int64_t kTaps = 5, kSide = 2;

  static constexpr std::int64_t first_tap(std::int64_t piece) { return 2 * piece; }
  static constexpr std::int64_t taps_of(std::int64_t piece) { return 2 + piece; }
  /// Along a side, pieces [first(index), kSide) have the element with this index of 0 to 3.
  static constexpr std::int64_t first(std::int64_t index) { return index == 3 ? 1 : 0; }
  /// Products are numbered by element, then by row, then by column of pieces.
  static constexpr std::int64_t products_of(std::int64_t e) { return (kSide - first(e / 4)) * (kSide - first(e % 4)); }
  static constexpr std::int64_t products_before(std::int64_t e) { return kBefore[static_cast<std::size_t>(e)]; }
  /// The product of element e and the piece in row a and column b, which has it.
  static constexpr std::int64_t product(std::int64_t e, std::int64_t a, std::int64_t b) {
    return products_before(e) + (a - first(e / 4)) * (kSide - first(e % 4)) + b - first(e % 4);
  }

 private:
  static const std::array<std::int64_t, kElements + 1> kBefore;
};
inline constexpr std::array<std::int64_t, kElements + 1> WindowPieces::kBefore = [] {
  std::array<std::int64_t, kElements + 1> before{};
  for (std::size_t e = 0; e < kElements; ++e) before[e + 1] = before[e] + products_of(static_cast<std::int64_t>(e));
  return before;
}();
inline constexpr std::int64_t kProducts = WindowPieces::products_before(kElements);  // 49, where direct sums take 100

/// The tiles of 2x2 pixels of y, and the grid of patches that they read: in each image one row and one column more than tiles.
/// Tasks take whole images or bands of one image's rows of tiles, by sizes only.
class TileGrid {
 public:
  /// x: [N, C, H, W], y: [N, K, Ho, Wo]; the padding before x.
  TileGrid(const Shape& x, const Shape& y, std::int64_t top, std::int64_t left);

  struct Task {
    std::int64_t image, images, row, rows;  // of tiles
  };
  std::int64_t tasks() const { return (N + images_ - 1) / images_ * bands_; }
  Task operator[](std::int64_t task) const;

  std::int64_t rows() const { return (H + 1) / 2; }  ///< of tiles of an image
  std::int64_t columns() const { return (W + 1) / 2; }
  std::int64_t tiles() const { return images_ * band_ * columns(); }  ///< of a whole task
  std::int64_t pixel() const { return round_up(C, kVector); }         ///< floats from a patch's element to the next patch's
  std::int64_t image() const { return (band_ + 1) * (columns() + 1) * pixel(); }
  /// Floats from an element to the next: a line more than a power of two, for the sets of the L1 cache.
  std::int64_t element() const { return images_ * image() + kVector; }

  /// For each tile of a task, floats to its first patch, and how many tiles from it on are evenly spaced.
  const std::int64_t* at() const { return at_.data(); }
  const std::int64_t* even() const { return even_.data(); }
  /// For each tile of a task, floats to its products with a panel, and to its gradients of K, rounded up to kVector, channels.
  const std::int64_t* products() const { return products_.data(); }
  const std::int64_t* gradients() const { return gradients_.data(); }
  /// The pieces that have element e, as runs of channels.
  const std::vector<Run>& runs(std::int64_t e) const { return runs_[static_cast<std::size_t>(e)]; }

  std::int64_t N, C, K, H, W;  // H, W: of y
  std::int64_t height, width;  // of x
  std::int64_t top, left;

 private:
  std::int64_t images_ = 1, band_, bands_;
  std::vector<std::int64_t> at_, even_, products_, gradients_;
  std::array<std::vector<Run>, kElements> runs_;
};

}  // namespace gpucnn::kernels::cpu
