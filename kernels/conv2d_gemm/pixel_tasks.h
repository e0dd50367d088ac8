#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <gpucnn/kernels/conv2d_gemm/input_window.h>

namespace gpucnn::kernels::cpu {

/// How a correlation's outputs are split: into bands of one image's rows, or into whole images. By sizes only.
class PixelTasks {
 public:
  /// `most`: pixels of a task, if an image's row has not more. Bands are at least as high as windows, so that the rows that two of
  /// them read are few.
  PixelTasks(const Correlation& c, const InputWindow& window, std::int64_t most) : N_(c.N), outputs_(c.rows.outputs) {
    const std::int64_t row = c.columns.outputs, image = outputs_ * row;
    if (image > most) {
      const std::int64_t bands = (image + most - 1) / most;
      rows_ = std::min(outputs_, std::max((outputs_ + bands - 1) / bands, window.copied() ? c.rows.taps : 1));
    } else {
      const std::int64_t fit = most / image, tasks = (N_ + fit - 1) / fit;
      images_ = (N_ + tasks - 1) / tasks;
      rows_ = outputs_;
    }
    bands_ = (outputs_ + rows_ - 1) / rows_;
    const std::int64_t image_size = window.image(c, rows_);
    for (std::int64_t n = 0; n < images_; ++n) {
      for (std::int64_t i = 0; i < rows_; ++i) {
        for (std::int64_t j = 0; j < row; ++j) {
          x_.push_back(n * image_size + i * window.row_step(c) + j * window.column_step(c));
          y_.push_back(n * c.output_image() +
                       ((c.rows.to + i * c.rows.to_step) * c.width + c.columns.to + j * c.columns.to_step) * c.groups * c.K);
        }
      }
    }
    even_.resize(x_.size(), 1);
    for (std::size_t i = x_.size(); i-- > 1;) {
      const bool goes_on = i + 1 < x_.size() && x_[i + 1] - x_[i] == x_[i] - x_[i - 1];
      even_[i - 1] = goes_on ? even_[i] + 1 : 2;
    }
  }

  struct Task {
    std::int64_t image, images, row, rows;
  };
  std::int64_t count() const { return (N_ + images_ - 1) / images_ * bands_; }
  Task operator[](std::int64_t task) const {
    const std::int64_t image = task / bands_ * images_, row = task % bands_ * rows_;
    return {image, std::min(images_, N_ - image), row, std::min(rows_, outputs_ - row)};
  }

  std::int64_t images() const { return images_; }  ///< of a task
  std::int64_t rows() const { return rows_; }      ///< of an image of a task
  /// Floats from the task's first to each pixel's first tap, and from the first pixel of the image, or band, to each output.
  const std::int64_t* x() const { return x_.data(); }
  const std::int64_t* y() const { return y_.data(); }
  /// For each pixel, how many from it on have evenly spaced first taps.
  const std::int64_t* even() const { return even_.data(); }

 private:
  std::int64_t N_, outputs_, images_ = 1, rows_ = 0, bands_ = 1;
  std::vector<std::int64_t> x_, y_, even_;
};

}  // namespace gpucnn::kernels::cpu
