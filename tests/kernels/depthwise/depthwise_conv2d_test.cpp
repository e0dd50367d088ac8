#include <algorithm>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/conv/conv2d.h>

#include "close.h"
#include "everywhere.h"
#include "kernels/conv/conv2d_case.h"
#include "reference/conv2d.h"

// Of every kind of row that the kernels know: 3 or 5 taps at strides of 1 and 2, any other, and channels that fill no vector.
namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const Conv2dCase kCases[] = {
    {"3x3", {.N = 3, .C = 37, .H = 9, .W = 15, .K = 37, .kernel_size = 3, .padding = 1, .groups = 37}},
    {"3x3, vectors", {.N = 17, .C = 32, .H = 8, .W = 8, .K = 32, .kernel_size = 3, .padding = 1, .groups = 32}},
    {"3x3, stride", {.N = 2, .C = 21, .H = 16, .W = 17, .K = 21, .kernel_size = 3, .stride = 2, .padding = 1, .groups = 21}},
    {"5x5", {.N = 2, .C = 19, .H = 11, .W = 13, .K = 19, .kernel_size = 5, .padding = 2, .groups = 19}},
    {"5x5, stride", {.N = 2, .C = 16, .H = 15, .W = 18, .K = 16, .kernel_size = 5, .stride = 2, .padding = 2, .groups = 16}, false},
    {"7x7", {.N = 2, .C = 5, .H = 9, .W = 10, .K = 5, .kernel_size = 7, .padding = 3, .groups = 5}},
    {"several outputs of each channel", {.N = 3, .C = 7, .H = 9, .W = 8, .K = 21, .kernel_size = 3, .padding = 1, .groups = 7}},
    {"several outputs, stride",
     {.N = 2, .C = 4, .H = 40, .W = 50, .K = 8, .kernel_size = 3, .stride = 2, .padding = 1, .groups = 4}},
    {"dilation", {.N = 2, .C = 6, .H = 12, .W = 20, .K = 6, .kernel_size = 3, .padding = 2, .dilation = 2, .groups = 6}},
    {"stride and dilation",
     {.N = 2,
      .C = 6,
      .H = 17,
      .W = 23,
      .K = 6,
      .kernel_size = {4, 3},
      .stride = {4, 6},
      .padding = 3,
      .dilation = {6, 4},
      .groups = 6}},
    {"stride beyond the window", {.N = 2, .C = 3, .H = 7, .W = 9, .K = 3, .kernel_size = 2, .stride = {3, 20}, .groups = 3}},
    {"padding beyond the window", {.N = 2, .C = 3, .H = 3, .W = 2, .K = 6, .kernel_size = 2, .padding = {5, 4}, .groups = 3}},
    {"sides", {.N = 2, .C = 8, .H = 6, .W = 9, .K = 8, .kernel_size = {3, 5}, .padding = Sides{2, 0, 1, 4}, .groups = 8}},
    {"pointwise", {.N = 2, .C = 9, .H = 5, .W = 6, .K = 9, .kernel_size = 1, .stride = 2, .padding = 1, .groups = 9}},
};

/// Everything that a plan computes, held against the reference.
std::vector<float> checked(const Conv2dCase& c, const Conv2dOperands& given) {
  const reference::Conv2d& s = c.sizes;
  Stream stream;
  Conv2dPlan plan(c.x_shape(), s.K, c.options(), Device::cpu());
  const Tensor x = Tensor::from(given.x, c.x_shape()), dy = Tensor::from(given.dy, plan.y_shape());
  const Tensor weight = Tensor::from(given.weight, c.weight_shape());
  const Tensor bias = c.bias ? Tensor::from(given.bias, {s.K}) : Tensor{};
  Tensor y = Tensor::zeros(plan.y_shape()), dx = Tensor::zeros(x.shape()), dweight = Tensor::zeros(weight.shape());
  Tensor dbias = c.bias ? Tensor::zeros(bias.shape()) : Tensor{};
  plan.forward(x, weight, bias, {}, y, stream);
  plan.backward_data(dy, weight, dx, stream);
  plan.backward_weights(x, dy, {}, dweight, dbias, stream);

  const auto gradients = reference::conv2d_backward(s, widen(given.x), widen(given.weight), widen(given.dy));
  expect_close(y.to_vector<float>(), reference::conv2d(s, widen(given.x), widen(given.weight), widen(given.bias)), kSum);
  expect_close(dx.to_vector<float>(), gradients.dx, kSum);
  expect_close(dweight.to_vector<float>(), gradients.dweight, kSum);
  if (c.bias) expect_close(dbias.to_vector<float>(), gradients.dbias, kSum);
  std::vector<float> all;
  for (const Tensor& tensor : {y, dx, dweight, dbias}) {
    if (!tensor.defined()) continue;
    const std::vector<float> values = tensor.to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST(DepthwiseConv2d, EqualsTheReference) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    const Conv2dOperands given(c);
    everywhere(Device::cpu(), [&] { return checked(c, given); });
  }
}

TEST(DepthwiseConv2d, RectifiesAsItsSumsAre) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Conv2dOperands given(c);
    given.x.front() = std::numeric_limits<float>::quiet_NaN();
    everywhere(Device::cpu(), [&] {
      Stream stream;
      Conv2dPlan plan(c.x_shape(), c.sizes.K, c.options(), Device::cpu());
      const Tensor x = Tensor::from(given.x, c.x_shape()), weight = Tensor::from(given.weight, c.weight_shape());
      const Tensor bias = c.bias ? Tensor::from(given.bias, {c.sizes.K}) : Tensor{};
      Tensor sums = Tensor::zeros(plan.y_shape()), y = Tensor::zeros(plan.y_shape());
      plan.forward(x, weight, bias, {}, sums, stream);
      plan.forward(x, weight, bias, {Activation::relu}, y, stream);
      std::vector<double> expected = widen(sums.to_vector<float>());
      for (double& value : expected) value = value < 0 ? 0 : value;
      expect_close(y.to_vector<float>(), expected, kSameValue);
      return y.to_vector<float>();
    });
  }
}

TEST(DepthwiseConv2d, MakesNanOfPaddingAndWhatIsNotFinite) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    for (std::vector<float> Conv2dOperands::*spoilt : {&Conv2dOperands::weight, &Conv2dOperands::dy, &Conv2dOperands::x}) {
      Conv2dOperands given(c);
      (given.*spoilt).front() = std::numeric_limits<float>::infinity();
      (given.*spoilt).back() = std::numeric_limits<float>::quiet_NaN();
      (void)checked(c, given);
    }
  }
}

TEST(DepthwiseConv2d, OfAnImageDoesNotDependOnTheOthers) {
  const Conv2dCase many{"", {.N = 5, .C = 40, .H = 20, .W = 19, .K = 40, .kernel_size = 3, .padding = 1, .groups = 40}};
  Conv2dCase one = many;
  one.sizes.N = 1;
  Conv2dOperands given(many);
  const std::vector<float> all = checked(many, given);
  given.x.resize(static_cast<std::size_t>(one.sizes.x_numel()));
  given.dy.resize(static_cast<std::size_t>(one.sizes.y_numel()));
  const std::vector<float> alone = checked(one, given);
  EXPECT_TRUE(std::equal(alone.begin(), alone.begin() + one.sizes.y_numel(), all.begin()));
}

}  // namespace
}  // namespace gpucnn::kernels
