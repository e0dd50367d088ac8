#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// y[c * y_row + r] = x[r * columns + c] for all rows r of x and its columns c.
void transpose(const float* x, std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_row);

}  // namespace gpucnn::kernels::cpu
