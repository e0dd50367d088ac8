#include <gpucnn/data/files/pixel_statistics.h>

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "data/files/idx_bytes.h"

namespace gpucnn {
namespace {

TEST(PixelStatistics, AreTheMeanAndDeviationOfEachChannelOverAllCalls) {
  const std::int64_t plane = 300 * 250;
  const std::vector<std::uint8_t> values = some_numbers(static_cast<std::size_t>(3 * 2 * plane));
  PixelStatistics statistics;
  statistics.add(Tensor::from(std::span(values).first(static_cast<std::size_t>(2 * plane)), {1, 2, 300, 250}));
  statistics.add(Tensor::from(std::span(values).subspan(static_cast<std::size_t>(2 * plane)), {2, 2, 300, 250}));
  const Normalize measured = statistics.normalize();
  for (std::int64_t c = 0; c < 2; ++c) {
    double sum = 0, squares = 0;
    for (std::int64_t n = 0; n < 3; ++n) {
      for (std::int64_t i = 0; i < plane; ++i) sum += values[static_cast<std::size_t>((n * 2 + c) * plane + i)] / 255.0;
    }
    const double mean = sum / static_cast<double>(3 * plane);
    for (std::int64_t n = 0; n < 3; ++n) {
      for (std::int64_t i = 0; i < plane; ++i) {
        squares += std::pow(values[static_cast<std::size_t>((n * 2 + c) * plane + i)] / 255.0 - mean, 2);
      }
    }
    EXPECT_NEAR(measured.mean[static_cast<std::size_t>(c)], mean, 1e-12);
    EXPECT_NEAR(measured.std[static_cast<std::size_t>(c)], std::sqrt(squares / static_cast<double>(3 * plane)), 1e-12);
  }
}

}  // namespace
}  // namespace gpucnn
