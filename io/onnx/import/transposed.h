#pragma once

#include <cstddef>
#include <vector>

#include <gpucnn/core/tensor.h>

namespace gpucnn::onnx {

/// The transpose of a matrix of f32 on the CPU: [rows, columns] -> [columns, rows].
inline Tensor transposed(const Tensor& matrix) {
  const auto rows = static_cast<std::size_t>(matrix.dim(0)), columns = static_cast<std::size_t>(matrix.dim(1));
  const std::vector<float> values = matrix.to_vector<float>();
  std::vector<float> turned(values.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) turned[column * rows + row] = values[row * columns + column];
  }
  return Tensor::from(turned, {matrix.dim(1), matrix.dim(0)});
}

}  // namespace gpucnn::onnx
