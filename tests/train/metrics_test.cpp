#include <gpucnn/train/metrics.h>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

TEST(Metrics, AreMeansOverImagesWhateverTheBatches) {
  Metrics metrics{.loss_sum = 6, .correct = 1, .images = 3};
  metrics += {.loss_sum = 1, .correct = 1, .images = 1};
  EXPECT_EQ(metrics.images, 4);
  EXPECT_EQ(metrics.loss(), 1.75);
  EXPECT_EQ(metrics.accuracy(), 0.5);
}

TEST(Metrics, OfNoImagesAreZero) {
  EXPECT_EQ(Metrics().loss(), 0);
  EXPECT_EQ(Metrics().accuracy(), 0);
}

}  // namespace
}  // namespace gpucnn
