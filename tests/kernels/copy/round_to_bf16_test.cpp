#include <gpucnn/kernels/copy/round_to_bf16.h>

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>

#include "everywhere.h"
#include "reference/values.h"

namespace gpucnn::kernels::cpu {
namespace {

/// As bits, so that each NaN is one of its own.
std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

std::vector<std::uint32_t> expected_bits(const std::vector<float>& values) {
  std::vector<float> expected;
  for (const float value : values) expected.push_back(to_float(to_bf16(value)));
  return bits_of(expected);
}

TEST(RoundToBf16, GivesTheBitsOfToBf16) {
  // All upper halves: signs, exponents, NaN and infinities; with lower halves on both sides of each that decides.
  std::vector<float> values;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const std::uint32_t lower : {0U, 1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      values.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  everywhere(Device::cpu(), [&] {
    const std::vector<std::uint32_t> actual = bits_of(rounded_to_bf16(Tensor::from(values, {values.size()})).to_vector<float>());
    EXPECT_EQ(actual, expected_bits(values));
    return actual;
  });
}

TEST(RoundToBf16, TakesAnySizeAndTheSameMemory) {
  for (const std::int64_t size : {0, 1, 3, 15, 16, 17, 31, 33, 257, 70001}) {
    SCOPED_TRACE(size);
    const std::vector<float> values = reference::random_floats(size, 1);
    everywhere(Device::cpu(), [&] {
      Tensor x = Tensor::from(values, {size});
      Tensor y = Tensor::full({size + 2}, 7), part = y.view(1, {size});
      round_to_bf16(x, part);
      EXPECT_EQ(bits_of(part.to_vector<float>()), expected_bits(values));
      EXPECT_EQ(std::as_const(y).data<float>()[0], 7);
      EXPECT_EQ(std::as_const(y).data<float>()[size + 1], 7);
      round_to_bf16(x, x);
      EXPECT_EQ(x.to_vector<float>(), part.to_vector<float>());
      return x.to_vector<float>();
    });
  }
}

TEST(RoundToBf16, TellsOfItsWriting) {
  Tensor y = Tensor::empty({5});
  round_to_bf16(Tensor::full({5}, 1), y);
  const std::uint64_t before = y.version();
  EXPECT_NE(before, 0U);
  round_to_bf16(Tensor::full({5}, 2), y);
  EXPECT_NE(y.version(), before);
}

}  // namespace
}  // namespace gpucnn::kernels::cpu
