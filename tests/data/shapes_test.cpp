#include <gpucnn/data/shapes.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads/threads.h>

namespace gpucnn {
namespace {

std::vector<std::uint8_t> pixels_of(const TensorDataset& dataset) { return dataset.images().to_vector<std::uint8_t>(); }

TEST(Shapes, AreTenNamedClassesInTurn) {
  const auto [train, test, class_names] = make_shapes(25, 12);
  EXPECT_EQ(train.images().shape(), (Shape{25, 3, 32, 32}));
  EXPECT_EQ(test.images().shape(), (Shape{12, 3, 32, 32}));
  EXPECT_EQ(train.images().dtype(), DType::u8);
  EXPECT_EQ(std::set(class_names.begin(), class_names.end()).size(), 10U);
  const std::vector<std::int32_t> labels = train.labels().to_vector<std::int32_t>();
  for (std::size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], static_cast<int>(i % 10));
}

TEST(Shapes, AreTheSameForOneSeedWhateverTheThreads) {
  const int before = num_threads();
  set_num_threads(1);
  const DatasetSplits alone = make_shapes(200, 100, 5);
  set_num_threads(3);
  const DatasetSplits together = make_shapes(200, 100, 5);
  set_num_threads(before);
  EXPECT_EQ(pixels_of(alone.train), pixels_of(together.train));
  EXPECT_EQ(pixels_of(alone.test), pixels_of(together.test));
  EXPECT_NE(pixels_of(make_shapes(200, 100, 6).train), pixels_of(alone.train));
}

TEST(Shapes, OfALongerSetBeginWithTheShorter) {
  const Tensor longer = make_shapes(50, 0).train.images();
  EXPECT_EQ(longer.narrow(0, 20).to_vector<std::uint8_t>(), pixels_of(make_shapes(20, 0).train));
}

TEST(Shapes, AreNeverTwiceTheSame) {
  const DatasetSplits splits = make_shapes(300, 300);
  std::set<std::string> seen;
  for (const TensorDataset* dataset : {&splits.train, &splits.test}) {
    for (std::int64_t i = 0; i < dataset->size(); ++i) {
      const std::vector<std::uint8_t> pixels = dataset->images().narrow(i, 1).to_vector<std::uint8_t>();
      seen.emplace(pixels.begin(), pixels.end());
    }
  }
  EXPECT_EQ(seen.size(), 600U);
}

/// How much of an image is brighter than its darkest tenth by a fifth of full brightness or more: a figure must be there, and not
/// be all.
TEST(Shapes, HaveAFigureOnAGround) {
  const Tensor images = make_shapes(500, 0).train.images();
  for (std::int64_t i = 0; i < images.dim(0); ++i) {
    const std::vector<std::uint8_t> pixels = images.narrow(i, 1).to_vector<std::uint8_t>();
    std::vector<int> brightness(1024);
    for (std::size_t p = 0; p < 1024; ++p) brightness[p] = pixels[p] + pixels[1024 + p] + pixels[2048 + p];
    std::ranges::sort(brightness);
    EXPECT_GT(brightness[1013] - brightness[102], 3 * 50) << i;
  }
}

TEST(Shapes, RefuseANegativeCount) {
  EXPECT_THROW(make_shapes(-1, 0), std::invalid_argument);
  EXPECT_THROW(make_shapes(0, -1), std::invalid_argument);
  EXPECT_EQ(make_shapes(0, 0).train.size(), 0);
}

}  // namespace
}  // namespace gpucnn
