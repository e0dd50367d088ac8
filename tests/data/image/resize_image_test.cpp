#include <gpucnn/data/image/resize_image.h>

#include <cmath>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads/threads.h>

namespace gpucnn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using Values = std::vector<std::uint8_t>;

Tensor noise(const Shape& shape) {
  std::mt19937 random(3);
  Values values(static_cast<std::size_t>(shape.numel()));
  for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(random());
  return Tensor::from(values, shape);
}

TEST(ResizeImages, AveragesWhereItHalves) {
  // Weights 1 : 3 : 3 : 1 of four pixels; at the edge 3 : 3 : 1.
  const Tensor x = Tensor::from(Values{0, 70, 140, 210}, {1, 1, 1, 4});
  EXPECT_THAT(resize_images(x, {.size = {1, 2}}).to_vector<std::uint8_t>(), ElementsAre(50, 160));
  EXPECT_THAT(resize_images(x, {.size = {3, 4}}).to_vector<std::uint8_t>(),
              ElementsAre(0, 70, 140, 210, 0, 70, 140, 210, 0, 70, 140, 210));
}

TEST(ResizeImages, IsTheFormulaInFloat64WithinOneLevel) {
  const auto weight = [](double distance) { return std::max(0.0, 1 - std::abs(distance)); };
  for (const auto& [in, out] : {std::pair{13, 5}, {5, 13}, {100, 3}, {17, 16}, {2, 9}, {1, 4}}) {
    const Tensor x = noise({1, 1, 1, in});
    const Values from = x.to_vector<std::uint8_t>(), to = resize_images(x, {.size = {1, out}}).to_vector<std::uint8_t>();
    const double scale = static_cast<double>(in) / out, support = std::max(scale, 1.0);
    for (int i = 0; i < out; ++i) {
      double sum = 0, weights = 0;
      for (int j = 0; j < in; ++j) {
        const double w = weight((j + 0.5 - (i + 0.5) * scale) / support);
        weights += w;
        sum += w * from[static_cast<std::size_t>(j)];
      }
      EXPECT_NEAR(to[static_cast<std::size_t>(i)], sum / weights, 0.51) << in << " to " << out << " at " << i;
    }
  }
}

TEST(ResizeImages, CropsTheMiddleOfTheShorterSidesSize) {
  // The shorter side stays 4, so that the crop is all that happens: columns 3 to 6 of 10.
  Values row(10);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<std::uint8_t>(i);
  Values image;
  for (int y = 0; y < 4; ++y) image.insert(image.end(), row.begin(), row.end());
  const Values cropped = resize_images(Tensor::from(image, {1, 1, 4, 10}), {.size = {2, 4}, .resize = 4}).to_vector<std::uint8_t>();
  EXPECT_THAT(cropped, ElementsAre(3, 4, 5, 6, 3, 4, 5, 6));
}

TEST(ResizeImages, TakesEveryImageOfABatchAndAnyThreads) {
  const Tensor x = noise({5, 3, 20, 14});
  const int before = num_threads();
  set_num_threads(1);
  const Values alone = resize_images(x, {.size = {9, 8}, .resize = 9}).to_vector<std::uint8_t>();
  set_num_threads(3);
  EXPECT_EQ(resize_images(x, {.size = {9, 8}, .resize = 9}).to_vector<std::uint8_t>(), alone);
  set_num_threads(before);
  const Values third = resize_images(x.narrow(2, 1), {.size = {9, 8}, .resize = 9}).to_vector<std::uint8_t>();
  EXPECT_TRUE(std::equal(third.begin(), third.end(), alone.begin() + 2 * 3 * 9 * 8));
  EXPECT_EQ(resize_images(noise({0, 3, 5, 5}), {.size = 4}).shape(), (Shape{0, 3, 4, 4}));
}

TEST(ResizeImages, TakesALineOfPixels) {
  EXPECT_THAT(
      resize_images(Tensor::from(Values(300'000, 77), {1, 1, 1, 300'000}), {.size = 3, .resize = 16'384}).to_vector<std::uint8_t>(),
      Each(77));
  EXPECT_THAT(resize_images(Tensor::from(Values(300'000, 77), {1, 1, 300'000, 1}), {.size = 2}).to_vector<std::uint8_t>(),
              Each(77));
}

TEST(ResizeImages, TakesTheLargestSideAndRefusesMore) {
  for (const bool tall : {false, true}) {
    const auto line = [&](std::int64_t length) {
      const Shape shape = tall ? Shape{1, 1, length, 1} : Shape{1, 1, 1, length};
      return Tensor::from(Values(static_cast<std::size_t>(length), 77), shape);
    };
    EXPECT_THAT(resize_images(line(kMaxSideToResize), {.size = 1}).to_vector<std::uint8_t>(), ElementsAre(77));
    EXPECT_THAT([&] { resize_images(line(kMaxSideToResize + 1), {.size = 1}); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("1 to 1048576 pixels on each side, got [1, 1, ")));
  }
}

TEST(ResizeImages, RefusesWrongOptionsAndTensors) {
  const Tensor x = noise({1, 3, 4, 4});
  const auto refuses = [](const Tensor& images, const ResizeOptions& options, const char* message) {
    EXPECT_THAT([&] { resize_images(images, options); }, ThrowsMessage<std::invalid_argument>(HasSubstr(message)));
  };
  refuses(x, {.size = 0}, "size must be from 1 to 16384 on each side, got 0x0 (width x height)");
  refuses(x, {.size = {4, -1}}, "got -1x4");
  refuses(x, {.size = {16'385, 4}}, "got 4x16385");
  refuses(x, {.size = {4, 6}, .resize = 5}, "resize must be from 6, the larger side of size, to 16384, got 5");
  refuses(x, {.size = 4, .resize = 20'000}, "got 20000");
  refuses(Tensor::zeros({1, 3, 4, 4}), {}, "expects u8 images [N, C, H, W] on the CPU, got f32");
  refuses(Tensor::zeros({3, 4, 4}, DType::u8), {}, "got u8 [3, 4, 4]");
  refuses(Tensor::zeros({1, 3, 0, 4}, DType::u8), {},
          "images of 1 to 16384 channels and 1 to 1048576 pixels on each side, got [1, 3, 0, 4]");
  refuses(Tensor::zeros({1, 0, 4, 4}, DType::u8), {}, "got [1, 0, 4, 4]");
  refuses({}, {}, "expects u8 images");
}

}  // namespace
}  // namespace gpucnn
