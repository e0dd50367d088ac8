#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

/// Plain float64 implementations of the operations, for tests to compare with: host values in logical order (N, C, H, W), the
/// formula as a textbook writes it, nothing fast.
namespace gpucnn::reference {

using Values = std::vector<double>;

inline Values widen(std::span<const float> values) { return {values.begin(), values.end()}; }

/// `count` floats between -1 and 1, the same for the same seed; exact as float and as double.
inline std::vector<float> random_floats(std::int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(static_cast<int>(engine() >> 8) - (1 << 23)) * 0x1p-23F;
  return values;
}

inline Values random_values(std::int64_t count, unsigned seed) { return widen(random_floats(count, seed)); }

inline double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace gpucnn::reference
