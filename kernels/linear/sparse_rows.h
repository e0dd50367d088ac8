#pragma once

#include <atomic>
#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn::kernels::cpu {

/// A matrix in compressed rows: the elements that are not 0 and their columns. Behind ReLU and dropout three of four gradients are
/// 0.
class SparseRows {
 public:
  /// `row_stride` and `column_stride`: the distances of elements in memory. Below kMinColumns a sparse product gains nothing.
  SparseRows(const float* matrix, std::int64_t rows, std::int64_t columns, std::int64_t row_stride, std::int64_t column_stride)
      : columns_(columns) {
    constexpr std::int64_t kMinColumns = 16, kGrain = 16;
    if (columns < kMinColumns) return;
    values_ = Tensor::empty({rows, values_stride()});
    indices_ = Tensor::empty({rows, indices_stride()}, DType::i32);
    value_data_ = values_.data<float>();
    index_data_ = indices_.data<std::int32_t>();
    std::atomic<std::int64_t> nonzeros{0};
    parallel_ranges(rows, kGrain, [&](std::int64_t first, std::int64_t last) {
      std::int64_t here = 0;
      for (std::int64_t r = first; r < last; ++r) here += compress(matrix + r * row_stride, r, column_stride);
      nonzeros += here;
    });
    pays_ = 2 * nonzeros < rows * columns;
  }

  /// Whether a sparse product is worth it: less than half of the elements are not 0. Otherwise nothing else may be asked.
  bool pays() const { return pays_; }
  /// The row's elements; how many they are, and behind that their columns.
  const float* values(std::int64_t row) const { return value_data_ + row * values_stride(); }
  const std::int32_t* indices(std::int64_t row) const { return index_data_ + row * indices_stride(); }
  /// The distances of rows there.
  std::int64_t values_stride() const { return columns_ + 1; }
  std::int64_t indices_stride() const { return columns_ + 2; }

 private:
  std::int64_t compress(const float* from, std::int64_t row, std::int64_t column_stride) {
    float* const values = value_data_ + row * values_stride();
    std::int32_t* const indices = index_data_ + row * indices_stride();
    std::int32_t count = 0;
    for (std::int64_t c = 0; c < columns_; ++c) {  // without a branch, which no processor could predict
      values[count] = from[c * column_stride];
      indices[1 + count] = static_cast<std::int32_t>(c);
      count += values[count] != 0.0F ? 1 : 0;
    }
    indices[0] = count;
    return count;
  }

  std::int64_t columns_;
  bool pays_ = false;
  Tensor values_;   // each row with room for one more
  Tensor indices_;  // each row's count, then columns
  float* value_data_ = nullptr;
  std::int32_t* index_data_ = nullptr;
};

}  // namespace gpucnn::kernels::cpu
