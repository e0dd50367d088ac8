#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/simd/vector_size.h>

namespace gpucnn::kernels::cpu {

/// Floats of a padded row, which has 2 columns + 2 pixels.
inline std::int64_t padded_row(std::int64_t columns, std::int64_t C) { return (2 * columns + 2) * C; }

/// 64-bit words that hold one bit for each of K channels.
inline std::int64_t mask_words(std::int64_t K) { return (K + 63) / 64; }

/// A convolution with pooling, and the layout of its padded input. Extents are those of x: [N, C, H, W] and y: [N, K, rows,
/// columns].
///
/// The padded input has a border of zeros, the halo. A buffer holds a whole image or a band of pooled rows. A band of R pooled rows
/// has 2 R + 2 padded rows of 2 columns + 2 pixels. The 3 pixels of a row of the 3x3 window are contiguous: 3 C floats.
struct PooledConv {
  PooledConv() = default;
  PooledConv(const Shape& x, std::int64_t channels)
      : N(x[0]), C(x[1]), H(x[2]), W(x[3]), K(channels), rows(H / 2), columns(W / 2) {}

  std::int64_t padded_row() const { return cpu::padded_row(columns, C); }
  /// Floats of a buffer for a band of `count` rows, with room for a vector that begins at its last element.
  std::int64_t padded_band(std::int64_t count) const { return round_up((2 * count + 2) * padded_row(), kVector) + kVector; }
  /// The same for a whole image.
  std::int64_t padded_image() const { return padded_band(rows); }
  /// The offset of pixel (0, 0) in a padded image.
  std::int64_t padded_origin() const { return padded_row() + C; }
  /// Rows of a band whose buffer stays in the L1 cache, at least 1.
  std::int64_t band_rows() const {
    constexpr std::int64_t kFloats = 8 * 1024;
    return std::clamp<std::int64_t>((kFloats / padded_row() - 2) / 2, 1, rows);
  }

  /// Copies the rows of an image that the band of pooled rows [first, last) reads. The buffer's border columns are 0 already.
  void pad(const float* image, std::int64_t first, std::int64_t last, float* to) const {
    const std::int64_t row = padded_row(), copied = std::min(W, 2 * columns + 1) * C;
    for (std::int64_t h = 2 * first - 1; h <= 2 * last; ++h, to += row) {
      if (h >= 0 && h < H) {
        std::copy_n(image + h * W * C, copied, to + C);
      } else {
        std::fill_n(to, row, 0.0F);
      }
    }
  }

  /// Sets the border of a padded image to 0.
  void clear_border(float* padded) const {
    const std::int64_t row = padded_row();
    std::fill_n(padded, row, 0.0F);
    for (std::int64_t r = 1; r < 2 * rows + 2; ++r) {
      std::fill_n(padded + r * row, C, 0.0F);
      if (W % 2 == 0) std::fill_n(padded + (r + 1) * row - C, C, 0.0F);
    }
    const std::int64_t end = (2 * rows + 2) * row;
    if (H % 2 == 0) std::fill_n(padded + end - row, row, 0.0F);
    std::fill_n(padded + end, padded_image() - end, 0.0F);
  }

  std::int64_t N = 0, C = 0, H = 0, W = 0, K = 0, rows = 0, columns = 0;
};

}  // namespace gpucnn::kernels::cpu
