#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// y[c * y_row + r] = x[r * x_row + c] for all rows r of x and its columns c.
void transpose(const float* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_row);

/// The same of a dense x.
inline void transpose(const float* x, std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_row) {
  transpose(x, columns, rows, columns, y, y_row);
}

}  // namespace gpucnn::kernels::cpu
