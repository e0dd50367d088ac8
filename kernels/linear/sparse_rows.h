#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/linear/gemm.h>

namespace gpucnn::kernels {

/// A matrix in compressed rows, as its kernels see it. The elements of row r that are not 0 lie from values[r * stride] on. At
/// the same places of `indices` lie their columns, counted from the first of a block of columns. starts[r * (blocks + 1) + b] is
/// where block b begins.
struct CompressedRows {
  std::int64_t columns;
  float* values;
  std::int32_t *indices, *starts;

  static constexpr std::int64_t kBlock = 128, kRoom = 16;  // columns of a block; room behind a row, for a whole vector

  std::int64_t stride() const { return columns + kRoom; }
  std::int64_t blocks() const { return (columns + kBlock - 1) / kBlock; }
  CompressedRows from(std::int64_t row) const {
    return {columns, values + row * stride(), indices + row * stride(), starts + row * (blocks() + 1)};
  }
};

namespace cpu {

/// A matrix in compressed rows: the elements that are not 0 and their columns. Behind ReLU and dropout three of four gradients are
/// 0.
class SparseRows {
 public:
  /// `matrix`: of rows side by side or, if `transposed`, of columns side by side. Below kMinColumns a sparse product gains nothing.
  SparseRows(const float* matrix, std::int64_t rows, std::int64_t columns, bool transposed);

  /// Whether a sparse product is worth it: less than half of the elements are not 0.
  bool pays() const { return pays_; }
  /// The product p, whose factor a is a block of this matrix's columns, from row `first` on. It leaves out the terms whose element
  /// of a is 0.
  void multiply(const Gemm& p, std::int64_t first, std::int64_t block) const;

 private:
  void compress(const float* matrix, std::int64_t rows, bool transposed);

  CompressedRows compressed_{};
  Tensor values_, indices_, starts_;
  bool pays_ = false;
};

}  // namespace cpu
}  // namespace gpucnn::kernels
