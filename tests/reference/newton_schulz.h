#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "reference/values.h"

namespace gpucnn::reference {

/// a [M, K] times b [K, N].
inline Values product(const Values& a, const Values& b, std::int64_t M, std::int64_t K, std::int64_t N) {
  Values c(static_cast<std::size_t>(M * N));
  for (std::int64_t m = 0; m < M; ++m) {
    for (std::int64_t n = 0; n < N; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < K; ++k) sum += a[static_cast<std::size_t>(m * K + k)] * b[static_cast<std::size_t>(k * N + n)];
      c[static_cast<std::size_t>(m * N + n)] = sum;
    }
  }
  return c;
}

inline Values transposed(const Values& a, std::int64_t rows, std::int64_t columns) {
  Values t(a.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c)
      t[static_cast<std::size_t>(c * rows + r)] = a[static_cast<std::size_t>(r * columns + c)];
  }
  return t;
}

/// `newtonschulz5` as Jordan et al., "Muon" (2024), write it, for x [R, C].
inline Values newton_schulz(Values x, std::int64_t R, std::int64_t C, const std::array<double, 3>& coefficients, double eps,
                            int steps) {
  if (R > C) return transposed(newton_schulz(transposed(x, R, C), C, R, coefficients, eps, steps), C, R);
  double squares = 0;
  for (const double value : x) squares += value * value;
  for (double& value : x) value /= std::max(std::sqrt(squares), eps);
  const auto [a, b, c] = coefficients;
  for (int step = 0; step < steps; ++step) {
    const Values gram = product(x, transposed(x, R, C), R, C, R), square = product(gram, gram, R, R, R);
    Values polynomial(gram.size());
    for (std::size_t i = 0; i < gram.size(); ++i) polynomial[i] = b * gram[i] + c * square[i];
    Values next = product(polynomial, x, R, R, C);
    for (std::size_t i = 0; i < x.size(); ++i) next[i] += a * x[i];
    x = std::move(next);
  }
  return x;
}

}  // namespace gpucnn::reference
