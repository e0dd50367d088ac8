#include <gpucnn/core/bf16.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

TEST(Bf16, KeepsWhatItCanHold) {
  for (const float value : {0.0F, -0.0F, 1.0F, -2.5F, 0x1.FEp127F, 0x1p-133F, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(to_float(to_bf16(value)), value);
    EXPECT_EQ(std::signbit(to_float(to_bf16(value))), std::signbit(value));
  }
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(to_float(to_bf16(0x1.01p0F)), 0x1.00p0F);  // half way: down to the even one
  EXPECT_EQ(to_float(to_bf16(0x1.03p0F)), 0x1.04p0F);  // half way: up to the even one
  EXPECT_EQ(to_float(to_bf16(0x1.010002p0F)), 0x1.02p0F);
  EXPECT_EQ(to_float(to_bf16(0x1.00FFFEp0F)), 0x1.00p0F);
  EXPECT_EQ(to_float(to_bf16(std::numeric_limits<float>::max())), std::numeric_limits<float>::infinity());
}

TEST(Bf16, KeepsNan) {
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7F800001U)))));  // whose upper half alone would be infinity
}

}  // namespace
}  // namespace gpucnn
