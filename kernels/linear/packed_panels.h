#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/threads.h>

namespace gpucnn::kernels::cpu {

/// Strips of a matrix's columns, one a task, copied together where they are read often: rows of a wide matrix lie a page or more
/// apart, and would fall on the same few lines of the cache.
class Strips {
 public:
  Strips(std::int64_t columns, std::int64_t most_rows)
      : columns_(columns), most_rows_(most_rows), packed_(Tensor::empty({threads_, most_rows * kWidth})) {}

  std::int64_t count() const { return (columns_ + kWidth - 1) / kWidth; }
  /// The first column and the number of columns.
  std::pair<std::int64_t, std::int64_t> range(std::int64_t strip) const {
    return {strip * kWidth, std::min(kWidth, columns_ - strip * kWidth)};
  }
  int threads() const { return threads_; }
  /// Where a strip of `rows` rows of the matrix can be read `times` times by a thread.
  const float* pack(std::int64_t strip, const float* matrix, std::int64_t rows, std::int64_t times, int thread) {
    const auto [first, width] = range(strip);
    if (!pays(times)) return matrix + first;
    float* to = packed_.data<float>() + thread * most_rows_ * kWidth;
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(matrix + r * columns_ + first, width, to + r * kWidth);
    return to;
  }
  /// The distance of its rows there.
  std::int64_t row(std::int64_t times) const { return pays(times) ? kWidth : columns_; }

 private:
  static constexpr std::int64_t kWidth = 64;
  static bool pays(std::int64_t times) { return times > 12; }

  std::int64_t columns_, most_rows_;
  int threads_ = num_threads();
  Tensor packed_;
};

}  // namespace gpucnn::kernels::cpu
