#include <gpucnn/train/report/picture.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn::report {
namespace {

using testing::ElementsAre;
using Bytes = std::vector<std::uint8_t>;

Bytes pixel_of(Picture picture, int y, int x) {
  const std::uint8_t* pixel = picture.pixel(y, x);
  return {pixel, pixel + 3};
}

TEST(PictureOf, RepeatsThePixelsOfSmallImages) {
  const Tensor image = Tensor::from(Bytes{1, 2, 3, 4, 5, 6}, {1, 3, 1, 2});  // two pixels: channels first
  const Picture picture = picture_of(image, 5);
  EXPECT_EQ(picture.height, 2);
  EXPECT_EQ(picture.width, 4);
  EXPECT_THAT(pixel_of(picture, 1, 1), ElementsAre(1, 3, 5));
  EXPECT_THAT(pixel_of(picture, 0, 2), ElementsAre(2, 4, 6));
}

TEST(PictureOf, AveragesThePixelsOfLargeOnes) {
  std::vector<float> values(64);
  for (std::size_t i = 0; i < 64; ++i) values[i] = i % 8 < 4 ? 0.0F : 1.0F;
  values[0] = 1.0F;
  const Picture picture = picture_of(Tensor::from(values, {1, 1, 8, 8}), 4);
  EXPECT_EQ(picture.height, 4);
  EXPECT_EQ(picture.width, 4);
  EXPECT_THAT(pixel_of(picture, 0, 0), ElementsAre(64, 64, 64));
  EXPECT_THAT(pixel_of(picture, 3, 1), ElementsAre(0, 0, 0));
  EXPECT_THAT(pixel_of(picture, 3, 2), ElementsAre(255, 255, 255));
}

TEST(WithHeat, LeavesColdPixelsAndReddensHotOnes) {
  const Picture grey = picture_of(Tensor::full({1, 1, 2, 2}, 0.5F), 2);
  EXPECT_EQ(with_heat(grey, Tensor::zeros({1, 1, 1})).rgb, grey.rgb);
  const Picture hot = with_heat(grey, Tensor::full({1, 1, 1}, 3));
  EXPECT_THAT(pixel_of(hot, 0, 0), ElementsAre(211, 45, 45));
}

TEST(FilterSheet, ScalesEachFilterToItsLargestNumber) {
  const Picture sheet = filter_sheet(Tensor::from(std::vector<float>{0.5F, -0.5F, 0, 2, 0, 0}, {3, 1, 1, 2}), 2);
  EXPECT_EQ(sheet.height, 3);
  EXPECT_EQ(sheet.width, 5);
  EXPECT_THAT(pixel_of(sheet, 0, 0), ElementsAre(255, 255, 255));
  EXPECT_THAT(pixel_of(sheet, 0, 1), ElementsAre(0, 0, 0));
  EXPECT_THAT(pixel_of(sheet, 0, 3), ElementsAre(128, 128, 128));
  EXPECT_THAT(pixel_of(sheet, 0, 4), ElementsAre(255, 255, 255));
  EXPECT_THAT(pixel_of(sheet, 2, 0), ElementsAre(128, 128, 128));
}

TEST(DataUrl, IsAPng) { EXPECT_TRUE(data_url(Picture::of(2, 3)).starts_with("data:image/png;base64,iVBORw0KGgo")); }

}  // namespace
}  // namespace gpucnn::report
