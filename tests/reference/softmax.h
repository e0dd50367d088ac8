#pragma once

#include <algorithm>
#include <cmath>

#include "reference/values.h"

namespace gpucnn::reference {

/// x, y: [N, C].
inline Values softmax(std::size_t N, std::size_t C, Values x) {
  for (std::size_t n = 0; n < N; ++n) {
    const auto row = x.begin() + static_cast<std::ptrdiff_t>(n * C), end = row + static_cast<std::ptrdiff_t>(C);
    const double largest = C == 0 ? 0.0 : *std::max_element(row, end);
    double sum = 0;
    for (auto value = row; value != end; ++value) sum += * value = std::exp(*value - largest);
    for (auto value = row; value != end; ++value) *value /= sum;
  }
  return x;
}

/// Of y, what `softmax` gave.
inline Values softmax_backward(std::size_t N, std::size_t C, const Values& y, Values dy) {
  for (std::size_t n = 0; n < N; ++n) {
    double sum = 0;
    for (std::size_t e = n * C; e < (n + 1) * C; ++e) sum += y[e] * dy[e];
    for (std::size_t e = n * C; e < (n + 1) * C; ++e) dy[e] = y[e] * (dy[e] - sum);
  }
  return dy;
}

}  // namespace gpucnn::reference
