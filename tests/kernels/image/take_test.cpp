#include <gpucnn/kernels/image/take.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;

class TakeTest : public DeviceTest {
 protected:
  std::vector<std::int32_t> taken(const Tensor& x, const std::vector<std::int64_t>& indices) {
    Tensor y = empty({indices.size()}, DType::i32);
    kernels::take(x, indices, y, stream());
    return y.to_vector<std::int32_t>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, TakeTest, devices(), device_name);

TEST_P(TakeTest, GivesTheElementsWithTheseIndices) {
  const Tensor x = tensor<std::int32_t>({5, 6, 7}, {3});
  EXPECT_THAT(taken(x, {2, 0, 2, 1}), ElementsAre(7, 5, 7, 6));
  EXPECT_THAT(taken(x.narrow(1, 2), {1, 0}), ElementsAre(7, 6));
  EXPECT_TRUE(taken(x, {}).empty());
}

TEST_P(TakeTest, GivesAsManyAsAreAskedFor) {
  std::vector<std::int32_t> x(300);
  std::vector<std::int64_t> indices(1000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int32_t>(i * i);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i * 7 % x.size());
  const std::vector<std::int32_t> y = taken(tensor(x, {300}), indices);
  for (std::size_t i = 0; i < indices.size(); ++i) ASSERT_EQ(y[i], x[static_cast<std::size_t>(indices[i])]) << i;
}

TEST_P(TakeTest, RefusesIndicesOutsideAndOtherTypes) {
  const Tensor x = empty({3}, DType::i32);
  EXPECT_THAT([&] { taken(x, {0, 3}); }, misuse("take: index 3 at place 1 is not in [0, 3)"));
  EXPECT_THROW(taken(x, {-1}), std::invalid_argument);
  EXPECT_THROW(taken(empty({3}), {0}), std::invalid_argument);
  EXPECT_THROW(taken(empty({3, 1}, DType::i32), {0}), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn
