#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gpucnn/kernels/conv2d_gemm/correlation.h>
#include <gpucnn/kernels/gemm/gemm_panel.h>

namespace gpucnn::kernels::cpu {

/// How a correlation's outputs read the inputs of one group: where they are, or in copies that have the padding as pixels.
class InputWindow {
 public:
  explicit InputWindow(const Correlation& c)
      : copied_(c.is_padded()),
        pixel_(copied_ ? c.C : c.groups * c.C),
        row_(pixel_ * (copied_ ? (c.columns.outputs - 1) * c.columns.stride + (c.columns.taps - 1) * c.columns.step + 1
                               : c.columns.inputs)) {
    // Taps side by side are one run.
    const std::int64_t joined = c.columns.step == 1 && pixel_ == c.C ? std::max<std::int64_t>(1, c.columns.taps) : 1;
    for (std::int64_t r = 0; r < c.rows.taps; ++r) {
      for (std::int64_t s = 0; s < c.columns.taps; s += joined) {
        runs_.push_back({r * c.rows.step * row_ + s * c.columns.step * pixel_, joined * c.C});
      }
    }
  }

  bool copied() const { return copied_; }
  const std::vector<Run>& runs() const { return runs_; }
  std::int64_t row() const { return row_; }  ///< floats from a row to the next
  /// Floats from an output to the next one of its row, and to the one below.
  std::int64_t column_step(const Correlation& c) const { return c.columns.stride * pixel_; }
  std::int64_t row_step(const Correlation& c) const { return c.rows.stride * row_; }
  /// Rows that `outputs` rows of outputs read.
  static std::int64_t rows_read(const Correlation& c, std::int64_t outputs) {
    return (outputs - 1) * c.rows.stride + (c.rows.taps - 1) * c.rows.step + 1;
  }
  /// Floats from an image to the next, for tasks of so many rows of outputs.
  std::int64_t image(const Correlation& c, std::int64_t outputs) const {
    return copied_ ? rows_read(c, outputs) * row_ : c.input_image();
  }

  /// The first tap of the first output of row `output`, in an image that is not copied.
  const float* first_tap(const Correlation& c, const float* image, std::int64_t output) const {
    if (runs_.empty()) return image;
    return image + (c.rows.origin + output * c.rows.stride) * row_ + c.columns.origin * pixel_;
  }

  /// Copies what `outputs` rows of outputs from `first` on read. `image`: its first channel of the group.
  void copy(const Correlation& c, const float* image, std::int64_t first, std::int64_t outputs, float* to) const {
    const std::int64_t top = c.rows.origin + first * c.rows.stride, width = row_ / pixel_;
    const std::int64_t begin = std::clamp<std::int64_t>(-c.columns.origin, 0, width);  // of the columns that are no padding
    const std::int64_t end = std::clamp(c.columns.inputs - c.columns.origin, begin, width);
    const std::int64_t in_pixel = c.groups * c.C;
    for (std::int64_t i = 0; i < rows_read(c, outputs); ++i, to += row_) {
      const std::int64_t h = top + i;
      if (h < 0 || h >= c.rows.inputs) {
        std::fill_n(to, row_, 0.0F);
        continue;
      }
      const float* from = image + (h * c.columns.inputs + c.columns.origin + begin) * in_pixel;
      std::fill_n(to, begin * pixel_, 0.0F);
      if (c.groups == 1) {
        std::copy_n(from, (end - begin) * pixel_, to + begin * pixel_);
      } else {
        copy_pixels(from, in_pixel, end - begin, to + begin * pixel_);
      }
      std::fill_n(to + end * pixel_, (width - end) * pixel_, 0.0F);
    }
  }

 private:
  /// The group's channels of `count` pixels. Calls of memmove would take longer than the copies.
  void copy_pixels(const float* from, std::int64_t in_pixel, std::int64_t count, float* to) const {
    constexpr std::int64_t kBlock = 16;
    for (; count > 0; --count, from += in_pixel, to += pixel_) {
      std::int64_t c = 0;
      for (; c + kBlock <= pixel_; c += kBlock) std::memcpy(to + c, from + c, kBlock * sizeof(float));
      for (; c < pixel_; ++c) to[c] = from[c];
    }
  }

  bool copied_;
  std::int64_t pixel_, row_;
  std::vector<Run> runs_;
};

}  // namespace gpucnn::kernels::cpu
