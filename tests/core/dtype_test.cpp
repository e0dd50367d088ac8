#include <gpucnn/core/dtype.h>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

TEST(DType, KnowsItsSizeAndName) {
  EXPECT_EQ(size_of(DType::f32), sizeof(float));
  EXPECT_EQ(size_of(DType::bf16), sizeof(bf16));
  EXPECT_EQ(size_of(DType::i32), sizeof(std::int32_t));
  EXPECT_EQ(size_of(DType::i64), sizeof(std::int64_t));
  EXPECT_EQ(size_of(DType::u8), sizeof(std::uint8_t));
  EXPECT_EQ(name_of(DType::f32), "f32");
  EXPECT_EQ(name_of(DType::bf16), "bf16");
  EXPECT_EQ(name_of(DType::i32), "i32");
  EXPECT_EQ(name_of(DType::i64), "i64");
  EXPECT_EQ(name_of(DType::u8), "u8");
}

TEST(DType, BelongsToACppType) {
  EXPECT_EQ(dtype_of<float>, DType::f32);
  EXPECT_EQ(dtype_of<bf16>, DType::bf16);
  EXPECT_EQ(dtype_of<std::int32_t>, DType::i32);
  EXPECT_EQ(dtype_of<std::int64_t>, DType::i64);
  EXPECT_EQ(dtype_of<std::uint8_t>, DType::u8);
}

}  // namespace
}  // namespace gpucnn
