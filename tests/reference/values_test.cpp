#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "reference/adam.h"
#include "reference/conv2d.h"
#include "reference/dropout.h"
#include "reference/linear.h"
#include "reference/max_pool2d.h"
#include "reference/relu.h"
#include "reference/sgd.h"
#include "reference/softmax_cross_entropy.h"

namespace gpucnn::reference {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The references themselves, on values worked by hand.

TEST(Reference, Conv2dSlidesTheKernelWithoutTurningIt) {
  const Conv2d c{.N = 1, .C = 1, .H = 3, .W = 3, .K = 1, .kernel_size = 2};
  EXPECT_EQ(conv2d(c, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 10, 100, 1000}, {0.5}), (Values{5421.5, 6532.5, 8754.5, 9865.5}));
}

TEST(Reference, Conv2dPaddingStrideAndDilation) {
  const Conv2d c{.N = 1, .C = 1, .H = 3, .W = 3, .K = 1, .kernel_size = 2, .stride = 2, .padding = 1, .dilation = 2};
  EXPECT_EQ(conv2d(c, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 10, 100, 1000}, {}), (Values{5000, 500, 50, 5}));
}

TEST(Reference, Conv2dGroupsSeeTheirOwnChannels) {
  const Conv2d c{.N = 1, .C = 2, .H = 1, .W = 1, .K = 2, .kernel_size = 1, .groups = 2};
  EXPECT_EQ(conv2d(c, {3, 5}, {10, 100}, {1, 2}), (Values{31, 502}));
}

TEST(Reference, LinearMultipliesByTheTransposedWeight) {
  EXPECT_EQ(linear(2, 2, 3, {1, 2, 3, 4}, {1, 0, 0, 1, 1, 1}, {0, 0, 10}), (Values{1, 2, 13, 3, 4, 17}));
}

TEST(Reference, ReluKeepsNan) {
  expect_close(relu({-1, 0, 2, kNan}), Values{0, 0, 2, kNan}, kSameValue);
  expect_close(relu_backward({0, 0, 2, kNan}, {5, 6, 7, 8}), Values{0, 0, 7, 8}, kSameValue);
}

TEST(Reference, MaxPool2dTakesTheFirstOfEqualsAndTheLastNan) {
  const MaxPool2d p{.planes = 1, .H = 2, .W = 6, .kernel_size = 2, .stride = 2};
  const MaxPooled pooled = max_pool2d(p, {1, 2, 7, 7, kNan, 9, 4, 3, 7, 1, kNan, 9});
  expect_close(pooled.y, Values{4, 7, kNan}, kSameValue);
  EXPECT_EQ(pooled.argmax, (std::vector<std::int32_t>{2, 0, 2}));
  EXPECT_EQ(max_pool2d_backward(p, {10, 20, 30}, pooled.argmax), (Values{0, 0, 20, 0, 0, 0, 10, 0, 0, 0, 30, 0}));
}

TEST(Reference, DropoutScalesWhatItKeeps) {
  const Values y = dropout(Values(1000, 1.0), 0.75, RandomStream(1, Purpose::dropout));
  EXPECT_NEAR(static_cast<double>(std::count(y.begin(), y.end(), 4.0)), 250, 50);
  EXPECT_EQ(std::count(y.begin(), y.end(), 4.0) + std::count(y.begin(), y.end(), 0.0), 1000);
}

TEST(Reference, CrossEntropyOfEqualLogitsIsTheLogarithmOfTheirNumber) {
  const std::vector<std::int32_t> labels{0, 1};
  const CrossEntropy result = softmax_cross_entropy(2, 4, Values(8, 3.0), labels);
  EXPECT_DOUBLE_EQ(result.loss, std::log(4.0));
  EXPECT_EQ(result.dlogits, (Values{-0.375, 0.125, 0.125, 0.125, 0.125, -0.375, 0.125, 0.125}));
}

TEST(Reference, AdamsFirstStepIsTheLearningRateInTheGradientsDirection) {
  Values weight{1, 1}, m(2), v(2);
  adam({0.5, -3}, {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 0, .weight_decay = 0, .step = 1}, weight, m, v);
  expect_close(weight, Values{0.9, 1.1}, kPointwise);
  expect_close(m, Values{0.05, -0.3}, kPointwise);
  expect_close(v, Values{0.00025, 0.009}, kPointwise);
}

TEST(Reference, SgdWithMomentum) {
  Values weight{1}, velocity{0};
  kernels::SgdStep step{.lr = 0.5, .momentum = 0.5, .dampening = 0, .weight_decay = 0, .nesterov = false, .first = true};
  sgd({2}, step, weight, velocity);
  EXPECT_EQ(weight, Values{0});
  step.first = false;
  sgd({2}, step, weight, velocity);
  EXPECT_EQ(velocity, Values{3});
  EXPECT_EQ(weight, Values{-1.5});
}

}  // namespace
}  // namespace gpucnn::reference
