#pragma once

#include <atomic>
#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn::kernels::cpu {

/// The elements of each row of a matrix that are not 0, if they are few: behind ReLU and dropout three of four gradients are.
class Nonzeros {
 public:
  /// `row` and `column`: the distances of elements. With few columns there is nothing to gain.
  Nonzeros(const float* matrix, std::int64_t rows, std::int64_t columns, std::int64_t row, std::int64_t column)
      : columns_(columns) {
    constexpr std::int64_t kFewColumns = 16;
    if (columns < kFewColumns) return;
    values_ = Tensor::empty({rows, values_row()});
    places_ = Tensor::empty({rows, places_row()}, DType::i32);
    value_ = values_.data<float>();
    place_ = places_.data<std::int32_t>();
    std::atomic<std::int64_t> found{0};
    parallel_ranges(rows, 16, [&](std::int64_t first, std::int64_t last) {
      std::int64_t here = 0;
      for (std::int64_t r = first; r < last; ++r) here += list(matrix + r * row, r, column);
      found += here;
    });
    few_ = 2 * found < rows * columns;
  }

  bool few() const { return few_; }
  /// The row's elements; how many they are, and behind that their columns. Rows lie `values_row()` and `places_row()` apart.
  const float* values(std::int64_t row) const { return value_ + row * values_row(); }
  const std::int32_t* places(std::int64_t row) const { return place_ + row * places_row(); }
  std::int64_t values_row() const { return columns_ + 1; }
  std::int64_t places_row() const { return columns_ + 2; }

 private:
  std::int64_t list(const float* from, std::int64_t row, std::int64_t column) {
    float* const value = value_ + row * values_row();
    std::int32_t* const place = place_ + row * places_row();
    std::int32_t count = 0;
    for (std::int64_t c = 0; c < columns_; ++c) {  // without a branch, which nobody could predict
      value[count] = from[c * column];
      place[1 + count] = static_cast<std::int32_t>(c);
      count += value[count] != 0.0F ? 1 : 0;
    }
    place[0] = count;
    return count;
  }

  std::int64_t columns_;
  bool few_ = false;
  Tensor values_;  // each row with room for one more
  Tensor places_;  // each row's count, then columns
  float* value_ = nullptr;
  std::int32_t* place_ = nullptr;
};

}  // namespace gpucnn::kernels::cpu
