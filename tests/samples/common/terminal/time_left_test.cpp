#include "common/terminal/time_left.h"

#include <gtest/gtest.h>

using namespace gpucnn;

namespace {

/// A run on a clock of its own: epochs of 100 images, each with its training, and what comes behind.
class TimeLeftTest : public testing::Test {
 protected:
  static constexpr int kEpochs = 10;

  /// Behind the training on `images` of an epoch, of which each takes so many seconds.
  double left(int epoch, int images, double seconds) {
    const double trained = images * seconds;
    now_ = begin_ + trained;
    return left_({epoch, kEpochs, 100, {.loss_sum = 0, .correct = 0, .images = images}, trained});
  }
  /// Test, report and files.
  void rest(double seconds) { begin_ = now_ = now_ + seconds; }

 private:
  double now_ = 1000, begin_ = 1000;
  TimeLeft left_{[this] { return now_; }};
};

TEST_F(TimeLeftTest, CountsTheTestOnceItIsKnown) {
  EXPECT_DOUBLE_EQ(left(1, 50, 0.1), 95);  // of training alone
  left(1, 100, 0.1);
  rest(4);
  EXPECT_DOUBLE_EQ(left(2, 50, 0.1), 5 + 4 + 8 * 14);
  EXPECT_DOUBLE_EQ(left(2, 100, 0.1), 4 + 8 * 14);
}

TEST_F(TimeLeftTest, IsRightWithinATenthWhereEpochsDiffer) {
  left(1, 100, 0.105);
  rest(4.4);
  const auto truth = [](int epoch, int images) { return (100 - images) * 0.1 + 4 + (kEpochs - epoch) * 14.0; };
  for (int epoch = 2; epoch <= 4; ++epoch) {
    for (const int images : {50, 100}) EXPECT_NEAR(left(epoch, images, 0.1), truth(epoch, images), 0.1 * truth(epoch, images));
    rest(4);
  }
}

TEST_F(TimeLeftTest, TakesAnEpochsFirstStepsForLittle) {
  left(1, 100, 0.1);
  rest(0);
  EXPECT_NEAR(left(2, 1, 1.0), 90 + 9, 0.1 * 99);
}

TEST_F(TimeLeftTest, OfARunThatGoesOnAmidAnEpoch) {
  EXPECT_DOUBLE_EQ(left(9, 75, 0.2), 5 + 20);
  left(9, 100, 0.2);
  rest(3);
  EXPECT_DOUBLE_EQ(left(10, 50, 0.2), 10 + 3);
}

}  // namespace
