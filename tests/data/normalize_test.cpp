#include <gpucnn/data/normalize.h>

#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device_test.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;

const Normalize kNormalize{{0.5, 0.25}, {0.5, 2.0}};

class NormalizeTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, NormalizeTest, devices(), device_name);

TEST_P(NormalizeTest, ScalesBytesAndNormalizesEachChannel) {
  const Tensor images = Tensor::from_nhwc(std::vector<std::uint8_t>{0, 255, 255, 51}, {1, 2, 1, 2}, device());
  const Tensor result = kNormalize(images);
  EXPECT_EQ(result.shape(), (Shape{1, 2, 1, 2}));
  EXPECT_THAT(result.to_vector<float>(), ElementsAre(-1.0F, 1.0F, 0.375F, (51.0F / 255 - 0.25F) / 2));
}

TEST_P(NormalizeTest, TakesFloatsAsTheyAre) {
  const Tensor images = Tensor::from_nhwc(std::vector<float>{0.75F, 0.25F}, {1, 2, 1, 1}, device());
  EXPECT_THAT(kNormalize(images).to_vector<float>(), ElementsAre(0.5F, 0.0F));
}

TEST(Normalize, RefusesOtherChannelsRanksAndTypes) {
  EXPECT_THROW(kNormalize(Tensor::zeros({1, 3, 2, 2})), std::invalid_argument);
  EXPECT_THROW(kNormalize(Tensor::zeros({2, 2, 2})), std::invalid_argument);
  EXPECT_THROW(kNormalize(Tensor::zeros({1, 2, 2, 2}, DType::i32)), std::invalid_argument);
  EXPECT_THROW((Normalize{{0.5}, {0.0}}(Tensor::zeros({1, 1, 2, 2}))), std::invalid_argument);
  EXPECT_THROW(kNormalize(Tensor{}), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn
