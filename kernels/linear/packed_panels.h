#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/threads.h>

namespace gpucnn::kernels::cpu {

/// Panels of 64 columns of a matrix, one a task. A panel that is read often is packed: copied so that its rows lie side by side. In
/// a wide matrix they lie a page or more apart, map to the same few cache sets, and evict each other.
class PackedPanels {
 public:
  PackedPanels(std::int64_t columns, std::int64_t max_rows)
      : columns_(columns), max_rows_(max_rows), packed_(Tensor::empty({threads_, max_rows * kWidth})) {}

  std::int64_t count() const { return (columns_ + kWidth - 1) / kWidth; }
  /// The first column and the number of columns.
  std::pair<std::int64_t, std::int64_t> range(std::int64_t panel) const {
    return {panel * kWidth, std::min(kWidth, columns_ - panel * kWidth)};
  }
  int threads() const { return threads_; }
  /// Where `thread` finds a panel of `rows` rows that it will read `times` times: packed if that pays, else in the matrix.
  const float* pack(std::int64_t panel, const float* matrix, std::int64_t rows, std::int64_t times, int thread) {
    const auto [first, width] = range(panel);
    if (!pays(times)) return matrix + first;
    float* to = packed_.data<float>() + thread * max_rows_ * kWidth;
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(matrix + r * columns_ + first, width, to + r * kWidth);
    return to;
  }
  /// The distance of its rows there.
  std::int64_t stride(std::int64_t times) const { return pays(times) ? kWidth : columns_; }

 private:
  static constexpr std::int64_t kWidth = 64, kMinReads = 13;  // from so many reads on packing pays
  static bool pays(std::int64_t times) { return times >= kMinReads; }

  std::int64_t columns_, max_rows_;
  int threads_ = num_threads();
  Tensor packed_;
};

}  // namespace gpucnn::kernels::cpu
