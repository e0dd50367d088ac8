#include <gpucnn/kernels/conv2d.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads.h>

#include "close.h"
#include "reference/conv2d.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;
using testing::HasSubstr;
using testing::ThrowsMessage;

struct Case {
  const char* name;
  reference::Conv2d sizes;
  bool bias = true;
};

constexpr auto name_of = [](const auto& test) { return std::string(test.param.name); };

Conv2dOptions options_of(const Case& c) {
  return {.kernel_size = c.sizes.kernel_size,
          .stride = c.sizes.stride,
          .padding = c.sizes.padding,
          .dilation = c.sizes.dilation,
          .groups = static_cast<int>(c.sizes.groups),
          .bias = c.bias};
}

/// The tensors of one convolution, filled from fixed seeds.
struct Problem {
  explicit Problem(const Case& c)
      : x_values(random_floats(c.sizes.x_numel(), 1)),
        weight_values(random_floats(c.sizes.weight_numel(), 2)),
        bias_values(random_floats(c.bias ? c.sizes.K : 0, 3)),
        dy_values(random_floats(c.sizes.y_numel(), 4)),
        x(Tensor::from(x_values, {c.sizes.N, c.sizes.C, c.sizes.H, c.sizes.W})),
        weight(Tensor::from(weight_values, conv2d_weight_shape(c.sizes.C, c.sizes.K, options_of(c)))),
        bias(c.bias ? Tensor::from(bias_values, {c.sizes.K}) : Tensor{}),
        plan(x.shape(), c.sizes.K, options_of(c), Device::cpu()),
        dy(Tensor::from(dy_values, plan.y_shape())),
        y(Tensor::empty(plan.y_shape())),
        dx(Tensor::empty(x.shape())),
        dweight(Tensor::empty(weight.shape())),
        dbias(c.bias ? Tensor::empty(bias.shape()) : Tensor{}) {}

  void run() {
    plan.forward(x, weight, bias, false, y, stream);
    plan.backward_data(dy, weight, dx, stream);
    plan.backward_weights(x, dy, {}, dweight, dbias, stream);
  }

  std::vector<float> x_values, weight_values, bias_values, dy_values;
  Stream stream;
  Tensor x, weight, bias;
  Conv2dPlan plan;
  Tensor dy, y, dx, dweight, dbias;
};

class Conv2dCase : public testing::TestWithParam<Case> {};

TEST_P(Conv2dCase, EqualsTheReference) {
  const Case& c = GetParam();
  Problem problem(c);
  problem.run();
  const auto expected =
      reference::conv2d(c.sizes, widen(problem.x_values), widen(problem.weight_values), widen(problem.bias_values));
  expect_close(problem.y.to_vector<float>(), expected, kSum);
  const auto gradients =
      reference::conv2d_backward(c.sizes, widen(problem.x_values), widen(problem.weight_values), widen(problem.dy_values));
  expect_close(problem.dx.to_vector<float>(), gradients.dx, kSum);
  expect_close(problem.dweight.to_vector<float>(), gradients.dweight, kSum);
  if (c.bias) expect_close(problem.dbias.to_vector<float>(), gradients.dbias, kSum);
}

TEST_P(Conv2dCase, AppliesReluInItsOwnPass) {
  Problem problem(GetParam());
  problem.plan.forward(problem.x, problem.weight, problem.bias, false, problem.y, problem.stream);
  std::vector<float> expected = problem.y.to_vector<float>();
  for (float& value : expected) value = std::max(value, 0.0F);
  problem.plan.forward(problem.x, problem.weight, problem.bias, true, problem.y, problem.stream);
  EXPECT_EQ(problem.y.to_vector<float>(), expected);
}

TEST_P(Conv2dCase, AddsToGradientsWhereAsked) {
  Problem problem(GetParam());
  problem.run();
  const std::vector<float> once = problem.dweight.to_vector<float>();
  problem.plan.backward_weights(problem.x, problem.dy, {.dweight = true, .dbias = false}, problem.dweight, problem.dbias,
                                problem.stream);
  std::vector<double> twice(once.begin(), once.end());
  for (double& value : twice) value *= 2;
  expect_close(problem.dweight.to_vector<float>(), twice, kSameValue);
}

TEST_P(Conv2dCase, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int before = num_threads();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    Problem problem(GetParam());
    problem.run();
    std::vector<float>& all = results.emplace_back(problem.y.to_vector<float>());
    for (const Tensor& tensor : {problem.dx, problem.dweight}) {
      const std::vector<float> values = tensor.to_vector<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
  }
  set_num_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, Conv2dCase,
    testing::Values(Case{"first_of_simple_cnn", {.N = 5, .C = 3, .H = 32, .W = 32, .K = 16, .kernel_size = 3, .padding = 1}},
                    Case{"second_of_simple_cnn", {.N = 3, .C = 16, .H = 16, .W = 16, .K = 32, .kernel_size = 3, .padding = 1}},
                    Case{"one_image_one_channel", {.N = 1, .C = 1, .H = 7, .W = 5, .K = 1, .kernel_size = 3}},
                    Case{"odd_channels", {.N = 3, .C = 5, .H = 7, .W = 5, .K = 17, .kernel_size = 3, .padding = 1}},
                    Case{"many_images", {.N = 257, .C = 3, .H = 5, .W = 4, .K = 2, .kernel_size = 3, .padding = 1}},
                    Case{"stride", {.N = 2, .C = 3, .H = 31, .W = 33, .K = 4, .kernel_size = 3, .stride = 2, .padding = 1}},
                    Case{"oblong",
                         {.N = 2, .C = 2, .H = 9, .W = 11, .K = 3, .kernel_size = {1, 5}, .stride = {2, 1}, .padding = {0, 2}}},
                    Case{"dilation", {.N = 2, .C = 3, .H = 11, .W = 9, .K = 4, .kernel_size = 3, .padding = 2, .dilation = 2}},
                    Case{"groups", {.N = 3, .C = 6, .H = 8, .W = 8, .K = 4, .kernel_size = 3, .padding = 1, .groups = 2}},
                    Case{"depthwise", {.N = 3, .C = 8, .H = 8, .W = 8, .K = 8, .kernel_size = 3, .padding = 1, .groups = 8}},
                    Case{"pointwise", {.N = 3, .C = 33, .H = 5, .W = 5, .K = 31, .kernel_size = 1}},
                    Case{"without_bias", {.N = 3, .C = 4, .H = 6, .W = 6, .K = 5, .kernel_size = 3, .padding = 1}, false}),
    name_of);

TEST(Conv2d, GivesValuesWorkedByHand) {
  // The mean over a 2x2 window of 1..9, plus 1/2.
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  Conv2dPlan plan(x.shape(), 1, {.kernel_size = 2}, Device::cpu());
  Tensor y = Tensor::empty({1, 1, 2, 2});
  Stream stream;
  plan.forward(x, Tensor::full({1, 1, 2, 2}, 0.25F), Tensor::full({1}, 0.5F), false, y, stream);
  EXPECT_THAT(y.to_vector<float>(), testing::ElementsAre(3.5F, 4.5F, 6.5F, 7.5F));
}

TEST(Conv2d, OfNoImagesHasZeroGradients) {
  const Shape x{0, 3, 8, 8};
  Conv2dPlan plan(x, 4, {.kernel_size = 3}, Device::cpu());
  EXPECT_EQ(plan.y_shape(), (Shape{0, 4, 6, 6}));
  Tensor dweight = Tensor::full({4, 3, 3, 3}, 7), dbias = Tensor::full({4}, 7);
  Stream stream;
  plan.backward_weights(Tensor::empty(x), Tensor::empty(plan.y_shape()), {.dweight = false, .dbias = true}, dweight, dbias, stream);
  EXPECT_THAT(dweight.to_vector<float>(), testing::Each(0.0F));
  EXPECT_THAT(dbias.to_vector<float>(), testing::Each(7.0F));
}

TEST(Conv2dShape, NamesWhatDoesNotFit) {
  const Conv2dOptions options{.kernel_size = 5};
  EXPECT_THAT(
      [&] {
        conv2d_shape({3, 32, 32}, 3, 8, options);
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("add a batch dimension")));
  EXPECT_THAT(
      [&] {
        conv2d_shape({2, 4, 32, 32}, 3, 8, options);
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("expects 3 input channels, got 4")));
  EXPECT_THAT([&] { conv2d_shape({2, 3, 4, 32}, 3, 8, options); }, ThrowsMessage<std::invalid_argument>(HasSubstr("5x5")));
}

TEST(Conv2dShape, RefusesOptionsOutOfBounds) {
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 0}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .stride = 0}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .padding = -1}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .dilation = 0}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .groups = 2}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(0, 8, {.kernel_size = 3}), std::invalid_argument);
}

TEST(Conv2d, RefusesTensorsOfOtherShapesThanItsPlan) {
  Case c{"", {.N = 2, .C = 3, .H = 8, .W = 8, .K = 4, .kernel_size = 3}};
  Problem problem(c);
  EXPECT_THAT([&] { problem.plan.forward(problem.dy, problem.weight, problem.bias, false, problem.y, problem.stream); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("conv2d: x must be [2, 3, 8, 8], got [2, 4, 6, 6]")));
  EXPECT_THROW(problem.plan.forward(problem.x, problem.weight, Tensor{}, false, problem.y, problem.stream), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn::kernels
