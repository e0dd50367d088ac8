#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include <gpucnn/kernels/common/size2.h>

namespace gpucnn::kernels::cpu {

/// Gathers pixels of an image of [H, W, C] floats in another of [height, width, C], and scatters them back. Pixel (i, j) there is
/// the image's pixel (i stride - padding, j stride - padding), or 0 where that lies outside.
struct PixelGather {
  std::int64_t C, H, W, height, width;
  Size2 stride, padding;

  std::int64_t floats() const { return height * width * C; }

  /// image -> to.
  void gather(const float* image, float* to) const {
    const Range columns = inside(width, stride.width, padding.width, W);
    for (std::int64_t i = 0; i < height; ++i, to += width * C) {
      const std::int64_t h = i * stride.height - padding.height;
      if (h < 0 || h >= H || columns.first == columns.last) {
        std::fill_n(to, width * C, 0.0F);
        continue;
      }
      std::fill_n(to, columns.first * C, 0.0F);
      const float* pixel = image + (h * W + columns.first * stride.width - padding.width) * C;
      if (stride.width == 1) {
        std::copy_n(pixel, (columns.last - columns.first) * C, to + columns.first * C);
      } else {
        for (std::int64_t j = columns.first; j < columns.last; ++j, pixel += stride.width * C) copy(pixel, to + j * C);
      }
      std::fill_n(to + columns.last * C, (width - columns.last) * C, 0.0F);
    }
  }

  /// from -> image, which is 0 where no pixel was gathered.
  void scatter(const float* from, float* image) const {
    const Range rows = inside(height, stride.height, padding.height, H), columns = inside(width, stride.width, padding.width, W);
    const std::int64_t row = W * C;
    float* cleared = image;  // up to here; row by row, so that a row is in cache when its pixels come
    for (std::int64_t i = rows.first; i < rows.last && columns.first < columns.last; ++i) {
      const std::int64_t h = i * stride.height - padding.height;
      std::fill(std::exchange(cleared, image + (h + 1) * row), image + (h + 1) * row, 0.0F);
      const float* pixel = from + (i * width + columns.first) * C;
      float* to = image + h * row + (columns.first * stride.width - padding.width) * C;
      for (std::int64_t j = columns.first; j < columns.last; ++j, pixel += C, to += stride.width * C) copy(pixel, to);
    }
    std::fill(cleared, image + H * row, 0.0F);
  }

 private:
  struct Range {
    std::int64_t first, last;
  };

  /// Of positions i step - before, i in [0, count), those in [0, extent).
  static Range inside(std::int64_t count, std::int64_t step, std::int64_t before, std::int64_t extent) {
    const std::int64_t last = std::min(count, (extent - 1 + before) / step + 1);
    return {std::min((before + step - 1) / step, last), last};
  }

  /// A pixel: eight channels at a time, or few one by one.
  void copy(const float* from, float* to) const {
    constexpr std::int64_t kAtOnce = 8;
    if (C < kAtOnce) {
      for (std::int64_t c = 0; c < C; ++c) to[c] = from[c];
      return;
    }
    std::int64_t c = 0;
    for (; c + kAtOnce <= C; c += kAtOnce) std::memcpy(to + c, from + c, kAtOnce * sizeof(float));
    for (; c < C; ++c) to[c] = from[c];
  }
};

}  // namespace gpucnn::kernels::cpu
