#include <gpucnn/kernels/take.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::int32_t> taken(const Tensor& x, const std::vector<std::int64_t>& indices) {
  Stream stream;
  Tensor y = Tensor::empty({indices.size()}, DType::i32);
  kernels::take(x, indices, y, stream);
  return y.to_vector<std::int32_t>();
}

TEST(Take, GivesTheElementsWithTheseIndices) {
  const Tensor x = Tensor::from(std::vector<std::int32_t>{5, 6, 7}, {3});
  EXPECT_THAT(taken(x, {2, 0, 2, 1}), ElementsAre(7, 5, 7, 6));
  EXPECT_TRUE(taken(x, {}).empty());
}

TEST(Take, RefusesIndicesOutsideAndOtherTypes) {
  const Tensor x = Tensor::zeros({3}, DType::i32);
  EXPECT_THAT(
      [&] {
        taken(x, {0, 3});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("take: index 3 at place 1 is not in [0, 3)")));
  EXPECT_THROW(taken(x, {-1}), std::invalid_argument);
  EXPECT_THROW(taken(Tensor::zeros({3}), {0}), std::invalid_argument);
  EXPECT_THROW(taken(Tensor::zeros({3, 1}, DType::i32), {0}), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn
