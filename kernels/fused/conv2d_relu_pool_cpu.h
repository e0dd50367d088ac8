#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/simd/vector_size.h>

// What the forward and the backward of conv2d_relu_pool on the CPU have in common.
namespace gpucnn::kernels::cpu {

/// Patches of 4x4 inputs that Winograd's products take at once, at most.
inline constexpr std::int64_t kMostPatches = 8;

/// Terms of a gradient added up before their sum is added to others, so that long sums stay exact.
inline constexpr std::int64_t kSummed = 1024;

/// Floats of a padded row: of 2 columns + 2 pixels.
inline std::int64_t padded_row(std::int64_t columns, std::int64_t C) { return (2 * columns + 2) * C; }

/// Words with a bit for each of K channels.
inline std::int64_t words(std::int64_t K) { return (K + 63) / 64; }

/// Extents of x: [N, C, H, W] and y: [N, K, rows, columns], and how an image lies in a buffer with a border of zeros, whole or cut
/// into bands of pooled rows: R of them have 2 R + 2 padded rows of 2 columns + 2 pixels. The 3 pixels of a window's row lie side
/// by side there: 3 C floats.
struct PooledConv {
  PooledConv() = default;
  PooledConv(const Shape& x, std::int64_t channels)
      : N(x[0]), C(x[1]), H(x[2]), W(x[3]), K(channels), rows(H / 2), columns(W / 2) {}

  std::int64_t padded_row() const { return cpu::padded_row(columns, C); }
  /// A buffer for a band of `count` rows, with room for a vector that begins at its last element.
  std::int64_t padded_band(std::int64_t count) const { return round_up((2 * count + 2) * padded_row(), kVector) + kVector; }
  /// The same for a whole image.
  std::int64_t padded_image() const { return padded_band(rows); }
  /// Where in a padded image pixel (0, 0) is.
  std::int64_t padded_origin() const { return padded_row() + C; }
  /// Rows of a band whose buffer stays in the first-level cache, at least 1.
  std::int64_t band_rows() const {
    constexpr std::int64_t kFloats = 8 * 1024;
    return std::clamp<std::int64_t>((kFloats / padded_row() - 2) / 2, 1, rows);
  }

  /// Copies what the band of rows [first, last) needs of an image. The buffer's border columns must be 0 already.
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

  /// Makes the border of a padded image 0.
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

/// What will be needed soon, asked for a part at a time while there is other work, since a cache takes in few lines at once.
class Prefetch {
 public:
  enum Use { read, write };

  Prefetch() = default;
  template <class T>
  Prefetch(const T* from, std::int64_t count, Use use = read)
      : from_(reinterpret_cast<const char*>(from)), bytes_(count * static_cast<std::int64_t>(sizeof(T))), use_(use) {}

  /// Part `part` of `parts`.
  void ask(std::int64_t part, std::int64_t parts) const {
    constexpr std::int64_t kLine = 64;
    const std::int64_t lines = (bytes_ + kLine - 1) / kLine;
    constexpr int kSecondLevel = 2;  // of caches: the first is full of what is at work
    for (std::int64_t line = part * lines / parts; line < (part + 1) * lines / parts; ++line) {
      if (use_ == write) {
        ask_to_write(from_ + line * kLine);
      } else {
        __builtin_prefetch(from_ + line * kLine, 0, kSecondLevel);
      }
    }
  }

 private:
  /// For this core alone: a store to a line that another core has read waits for that core.
  static void ask_to_write(const char* line) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*line));  // __builtin_prefetch(line, 1) reads, unless built with -mprfchw
#else
    __builtin_prefetch(line, 1);
#endif
  }

  const char* from_ = nullptr;
  std::int64_t bytes_ = 0;
  Use use_ = read;
};

/// Part `part` of `parts` of each.
template <std::size_t kCount>
void ask(const Prefetch (&all)[kCount], std::int64_t part, std::int64_t parts) {
  for (const Prefetch& one : all) one.ask(part, parts);
}

}  // namespace gpucnn::kernels::cpu

namespace gpucnn::kernels {

/// A band of pooled rows on its way. Places are null where none are wanted.
struct ForwardBand {
  std::int64_t C, K, rows, columns;
  const float* x;       // padded
  const float* weight;  // [K in blocks of kVector][3 rows][3 C][kVector]
  const float* bias;    // K, padded with zeros to a block
  float* y;             // [rows][y_row floats], of which columns * K are written
  std::int64_t y_row;
  std::uint8_t* place;       // [rows][columns][K]
  cpu::Prefetch next[2];     // the image after this one; what the pass gives, where this is its last convolution
  bool finite;               // all outputs are for sure, whichever way they are computed
  const float* transformed;  // for Winograd's products: [16][C][K in blocks]; null: none are wanted
  float* memory;             // for those: 16 kMostPatches (C in vectors + 2 kVector) floats
};

/// A band of pooled rows on its way back. `pixels` counts its pooled pixels.
struct BackwardBand {
  std::int64_t C, K, rows, columns;
  std::int64_t span;      // 3 C, padded to vectors
  std::int64_t channels;  // K, padded to vectors
  const float* dy;        // [rows][dy_row floats], of which columns * K are read
  std::int64_t dy_row;
  const std::uint8_t* place;  // [pixels][K]
  float* gradient;            // [pixels][channels]: dy, 0 where it ends
  std::int32_t* start;        // [pixels][channels]: where in the band the winner's input pixels begin
  std::uint64_t* winners;     // [pixels][4][K in words]: which channels won with each place; null: dx is not wanted
  const float* x;             // padded
  float* dweight;             // [K][3][span], added to
  float* dbias;               // [channels], added to
  const float* weight;        // as `pack_for_data` gives it
  float* dx;                  // padded; its first two rows, which the band before shares, are added to, the others set
  cpu::Prefetch next[4];      // x, places and dy of the image after this one; dx of this one
};

}  // namespace gpucnn::kernels
