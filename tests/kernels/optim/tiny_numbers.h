#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {

/// A sum of products as PyTorch's kernels compute it in float32, which keep subnormal numbers: rounded once or twice, as the
/// compiler and the processor have it.
inline float multiply_add(float a, float b, float c, bool fused) {
  if (fused) return std::fma(a, b, c);
  const volatile float product = a * b;
  return product + c;
}

/// Gradients of every size from the smallest number on, and 0.
inline std::vector<float> gradients_of_every_size() {
  std::vector<float> all = {0,      1e-45F,  3e-42F, 1e-39F, -1e-38F, 1e-37F, 1e-33F, -1e-30F, 1e-26F, 1e-23F, 1e-21F,
                            1e-20F, -1e-19F, 1e-15F, 1e-12F, 1e-8F,   1e-4F,  -1,     1e3F,    1e10F,  1e15F,  1e18F};
  return all;
}

/// Every gradient for every weight, a weight after the other.
struct TinyCases {
  std::vector<float> weights, gradients;

  explicit TinyCases(const std::vector<float>& from) {
    for (const float weight : from) {
      for (const float gradient : gradients_of_every_size()) {
        weights.push_back(weight);
        gradients.push_back(gradient);
      }
    }
  }
};

/// Each element is near one of two, as near as some roundings of the largest number on the way bring it: `scale`.
inline void expect_either(const std::vector<float>& actual, const std::vector<float>& a, const std::vector<float>& b,
                          const std::vector<float>& scale) {
  ASSERT_EQ(actual.size(), a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto is_near = [&](float expected) {
      if (actual[i] == expected || (std::isnan(actual[i]) && std::isnan(expected))) return true;
      const double least = 4 * 0x1p-149;
      return std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected)) <=
             std::max(least, 1e-6 * static_cast<double>(scale[i]));
    };
    EXPECT_TRUE(is_near(a[i]) || is_near(b[i])) << "element " << i << ": " << actual[i] << ", expected " << a[i] << " or " << b[i];
  }
}

}  // namespace gpucnn
