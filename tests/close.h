#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {

/// How far `actual` may lie from `expected`: `relative` of the expected element plus `of_largest` of the largest expected element,
/// which a sum of many terms is entitled to where they cancel, plus `absolute`.
struct Tolerance {
  double relative;
  double of_largest;
  double absolute = 0;
};

/// Every tolerance of the tests.
inline constexpr Tolerance kSameValue{0, 0};              // nothing but copies, choices and exact arithmetic
inline constexpr Tolerance kPointwise{1e-6, 0};           // f32 against the float64 reference, element by element
inline constexpr Tolerance kSum{1e-6, 1e-6};              // the same where terms of either sign are added
inline constexpr Tolerance kTf32{0, 2e-3};                // sums of products whose factors have 10 bits of mantissa
inline constexpr Tolerance kBf16{4e-3, 1e-6};             // sums that are rounded to 7 bits of mantissa
inline constexpr Tolerance kVendorSum{1e-5, 1e-5};        // f32 sums of up to thousands of terms, one after the other
inline constexpr Tolerance kNumericGradient{1e-7, 1e-7};  // a float64 gradient against central differences
inline constexpr Tolerance kGoldenPass{0, 1e-5};          // the whole network's logits and gradients against PyTorch's
inline constexpr Tolerance kGoldenLoss{1e-5, 0};          // its losses in training
inline constexpr Tolerance kGoldenStep{0, 1e-4};          // gradients and statistics of one step of a deep network
inline constexpr Tolerance kGoldenWeight{0, 0, 1e-4};     // its weights after training

inline std::vector<double> as_doubles(std::span<const float> values) { return {values.begin(), values.end()}; }

/// Equal in number and close in value; NaN and infinities only equal themselves. Names the first element that is not.
inline void expect_close(std::span<const double> actual, std::span<const double> expected, Tolerance tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (double value : expected) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = actual[i], e = expected[i];
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    const double allowed = tolerance.relative * std::abs(e) + tolerance.of_largest * largest + tolerance.absolute;
    ASSERT_TRUE(std::isfinite(e) && std::abs(a - e) <= allowed)
        << "element " << i << " of " << expected.size() << ": " << a << ", expected " << e << " within " << allowed;
  }
}

inline void expect_close(std::span<const float> actual, std::span<const double> expected, Tolerance tolerance) {
  expect_close(as_doubles(actual), expected, tolerance);
}

}  // namespace gpucnn
