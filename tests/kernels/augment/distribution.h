#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {

/// That the values are distributed as `cdf` says: Kolmogorov and Smirnov's test at a level of 0.1 %. Seeds are fixed.
template <class Cdf>
void expect_distributed(std::vector<double> values, const Cdf& cdf) {
  std::ranges::sort(values);
  const auto count = static_cast<double>(values.size());
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = cdf(values[i]), below = static_cast<double>(i) / count, above = static_cast<double>(i + 1) / count;
    largest = std::max({largest, expected - below, above - expected});
  }
  EXPECT_LT(largest * std::sqrt(count), 1.95);
}

/// That each of these was as frequent as the others, within five standard deviations.
inline void expect_equally_frequent(const std::vector<int>& counts) {
  double all = 0;
  for (const int count : counts) all += count;
  const double share = 1 / static_cast<double>(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i)
    EXPECT_NEAR(counts[i], all * share, 5 * std::sqrt(all * share * (1 - share))) << i;
}

}  // namespace gpucnn
