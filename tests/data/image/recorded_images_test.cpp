#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/image/decode_image.h>
#include <gpucnn/data/image/image_reader.h>
#include <gpucnn/data/image/resize_image.h>

#include "golden_case.h"

namespace gpucnn {
namespace {

using Values = std::vector<std::uint8_t>;

/// The cases of tests/golden/cases/images.safetensors of one kind.
std::vector<GoldenCase> cases_of(const std::string& kind) {
  std::vector<GoldenCase> cases = golden_cases("images");
  std::erase_if(cases, [&](const GoldenCase& found) { return found.options.at("kind") != kind; });
  EXPECT_FALSE(cases.empty());
  return cases;
}

ResizeOptions options_of(const nlohmann::json& options) {
  ResizeOptions resize{.size = size_of(options.at("size"))};
  if (options.contains("resize")) resize.resize = options.at("resize").get<int>();
  return resize;
}

/// The largest and the mean difference of two images, in levels.
struct Difference {
  int largest;
  double mean;
};
Difference difference_of(const Values& a, const Values& b) {
  EXPECT_EQ(a.size(), b.size());
  int largest = 0;
  double sum = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const int difference = std::abs(a[i] - b[i]);
    largest = std::max(largest, difference);
    sum += difference;
  }
  return {largest, sum / static_cast<double>(a.size())};
}

TEST(RecordedImages, AreResizedAsTorchvisionResizesThem) {
  for (const GoldenCase& recorded : cases_of("resize")) {
    SCOPED_TRACE(recorded.name);
    const Tensor y = resize_images(recorded.at("x"), options_of(recorded.options));
    ASSERT_EQ(y.shape(), recorded.at("y").shape());
    // Rows come first here, as in Pillow 11, whose bits these are; Pillow 13 takes columns first where that is less work.
    EXPECT_LE(difference_of(y.to_vector<std::uint8_t>(), recorded.at("y").to_vector<std::uint8_t>()).largest, 1);
  }
}

TEST(RecordedImages, AreDecodedAsPilDecodesThem) {
  for (const GoldenCase& recorded : cases_of("decode")) {
    SCOPED_TRACE(recorded.name);
    const Values bytes = recorded.at("bytes").to_vector<std::uint8_t>();
    const int tolerance = recorded.options.at("tolerance").get<int>();
    for (const int channels : {1, 3}) {
      SCOPED_TRACE(channels);
      const Tensor expected = recorded.at(channels == 3 ? "rgb" : "grey");
      const Tensor image = decode_image(std::as_bytes(std::span(bytes)), channels);
      ASSERT_EQ(image.shape(), expected.shape());
      EXPECT_LE(difference_of(image.to_vector<std::uint8_t>(), expected.to_vector<std::uint8_t>()).largest, tolerance);
    }
  }
}

TEST(RecordedImages, OfManyPixelsAreDividedWhileTheyAreDecoded) {
  for (const GoldenCase& recorded : cases_of("scaled")) {
    SCOPED_TRACE(recorded.name);
    const Values bytes = recorded.at("bytes").to_vector<std::uint8_t>();
    const ResizeOptions resize = options_of(recorded.options);
    Tensor image = Tensor::empty(recorded.at("y").shape(), DType::u8);
    const std::string name = "image";
    decode_resized({std::as_bytes(std::span(bytes)), name, kMaxImagePixels}, 3, resize, image.data<std::uint8_t>());
    const auto [largest, mean] = difference_of(image.to_vector<std::uint8_t>(), recorded.at("y").to_vector<std::uint8_t>());
    // Measured: 4 levels, 0.95 on average. Noise is averaged in another way, slopes are the same.
    EXPECT_LE(largest, 5);
    EXPECT_LE(mean, 1.1);
    EXPECT_GT(mean, 0) << "nothing was divided";
  }
}

}  // namespace
}  // namespace gpucnn
