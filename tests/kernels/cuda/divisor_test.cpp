#include <gpucnn/kernels/cuda/divisor.h>

#include <random>

#include <gtest/gtest.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr std::uint32_t kLargest = (std::uint32_t{1} << 31) - 1;

void expect_divides(std::uint32_t dividend, std::uint32_t divisor) {
  std::uint32_t quotient = dividend;
  const std::uint32_t rest = Divisor(divisor).divide(quotient);
  ASSERT_EQ(quotient, dividend / divisor) << dividend << " / " << divisor;
  ASSERT_EQ(rest, dividend % divisor) << dividend << " % " << divisor;
}

TEST(Divisor, DividesSmallNumbersAndThoseAroundEachMultiple) {
  for (std::uint32_t divisor = 1; divisor < 300; ++divisor) {
    for (std::uint32_t dividend = 0; dividend < 1000; ++dividend) expect_divides(dividend, divisor);
    for (std::uint32_t whole = 1; whole <= kLargest / divisor; whole = whole * 2 + 1) {
      expect_divides(whole * divisor - 1, divisor);
      expect_divides(whole * divisor, divisor);
    }
    expect_divides(kLargest / divisor * divisor - 1, divisor);
    expect_divides(kLargest, divisor);
  }
}

TEST(Divisor, DividesByPowersOfTwoAndTheirNeighbours) {
  for (int power = 1; power <= 30; ++power) {
    const std::uint32_t whole = std::uint32_t{1} << power;
    for (const std::uint32_t divisor : {whole - 1, whole, whole + 1}) {
      for (const std::uint32_t dividend : {std::uint32_t{0}, whole - 2, whole - 1, whole, whole + 1, kLargest - 1, kLargest}) {
        expect_divides(dividend, divisor);
      }
    }
  }
  expect_divides(kLargest, kLargest);
  expect_divides(kLargest - 1, kLargest);
}

TEST(Divisor, DividesDrawnNumbers) {
  std::mt19937 random(1);
  for (int i = 0; i < 1000000; ++i) {
    const auto divisor = static_cast<std::uint32_t>((random() & kLargest) >> random() % 31);
    expect_divides(static_cast<std::uint32_t>(random() & kLargest), divisor == 0 ? 1 : divisor);
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda
