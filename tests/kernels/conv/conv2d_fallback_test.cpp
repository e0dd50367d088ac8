#include <gpucnn/kernels/conv/conv2d_fallback.h>

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "conv2d_cases.h"
#include "device_test.h"
#include "reference/conv2d.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const Conv2dCase kCases[] = {
    {"3x3", {.N = 3, .C = 3, .H = 9, .W = 11, .K = 16, .kernel_size = 3, .padding = 1}},
    {"fours", {.N = 2, .C = 8, .H = 6, .W = 6, .K = 12, .kernel_size = 3, .padding = 1}},
    {"one image and channel", {.N = 1, .C = 1, .H = 7, .W = 5, .K = 1, .kernel_size = 3}},
    {"many images", {.N = 257, .C = 3, .H = 5, .W = 4, .K = 2, .kernel_size = 3, .padding = 1}},
    {"wide", {.N = 1, .C = 2, .H = 2, .W = 130, .K = 3, .kernel_size = 3, .padding = 1}},
    {"stride", {.N = 2, .C = 3, .H = 31, .W = 33, .K = 4, .kernel_size = 3, .stride = 2, .padding = 1}},
    {"stride over the edge", {.N = 2, .C = 3, .H = 8, .W = 9, .K = 4, .kernel_size = 2, .stride = 3, .padding = 1}},
    {"oblong", {.N = 2, .C = 2, .H = 9, .W = 11, .K = 3, .kernel_size = {1, 5}, .stride = {2, 1}, .padding = {0, 2}}},
    {"dilation", {.N = 2, .C = 3, .H = 11, .W = 9, .K = 4, .kernel_size = 3, .padding = 2, .dilation = 2}},
    {"all at once",
     {.N = 2,
      .C = 6,
      .H = 11,
      .W = 12,
      .K = 4,
      .kernel_size = {3, 2},
      .stride = {2, 3},
      .padding = {3, 4},
      .dilation = {2, 3},
      .groups = 2}},
    {"taps outside", {.N = 2, .C = 2, .H = 2, .W = 2, .K = 2, .kernel_size = 5, .padding = 4}},
    {"depthwise", {.N = 3, .C = 8, .H = 8, .W = 8, .K = 16, .kernel_size = 3, .padding = 1, .groups = 8}},
    {"pointwise", {.N = 3, .C = 33, .H = 5, .W = 5, .K = 31, .kernel_size = 1}},
    {"many weights", {.N = 1, .C = 64, .H = 3, .W = 3, .K = 512, .kernel_size = 3, .padding = 1}},
    {"sides", {.N = 2, .C = 4, .H = 6, .W = 7, .K = 5, .kernel_size = 3, .padding = Sides{0, 2, 3, 1}}},
    {"sides, stride",
     {.N = 2, .C = 3, .H = 6, .W = 6, .K = 4, .kernel_size = 3, .stride = 2, .padding = Sides{.bottom = 1, .right = 1}}},
    {"without bias", {.N = 3, .C = 4, .H = 6, .W = 6, .K = 5, .kernel_size = 3, .padding = 1}, false}};

class Conv2dFallbackTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dFallbackTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dFallbackTest, EqualsTheReference) {
  for (const Conv2dCase& test : kCases) {
    SCOPED_TRACE(test.name);
    const reference::Conv2d& c = test.sizes;
    const auto [x, weight, bias, dy] = Conv2dOperands(test);
    const Shape x_shape = test.x_shape(), y_shape = test.y_shape(), weight_shape = test.weight_shape();
    const auto conv = cuda::conv2d_fallback(x_shape, y_shape, test.options());
    const Tensor images = tensor(x, x_shape), weights = tensor(weight, weight_shape), gradient = tensor(dy, y_shape),
                 biases = test.bias ? tensor(bias) : Tensor{};
    Tensor y = empty(y_shape), dx = empty(x_shape), dweight = empty(weight_shape), dbias = test.bias ? empty({c.K}) : Tensor{};

    conv->forward(images, weights, biases, {}, y, stream());
    std::vector<float> plain = y.to_vector<float>();
    expect_close(plain, reference::conv2d(c, widen(x), widen(weight), widen(bias)), kSum);
    conv->forward(images, weights, biases, {Activation::relu}, y, stream());
    for (float& value : plain) value = std::max(value, 0.0F);
    EXPECT_EQ(y.to_vector<float>(), plain);

    const auto expected = reference::conv2d_backward(c, widen(x), widen(weight), widen(dy));
    conv->backward_data(gradient, weights, dx, stream());
    expect_close(dx.to_vector<float>(), expected.dx, kSum);
    conv->backward_weights(images, gradient, {}, dweight, dbias, stream());
    const std::vector<float> once = dweight.to_vector<float>();
    expect_close(once, expected.dweight, kSum);
    if (test.bias) expect_close(dbias.to_vector<float>(), expected.dbias, kSum);

    conv->backward_weights(images, gradient, {.dweight = true, .dbias = false}, dweight, dbias, stream());
    reference::Values twice = widen(once);
    for (double& value : twice) value *= 2;
    expect_close(dweight.to_vector<float>(), twice, kSameValue);
    if (test.bias) expect_close(dbias.to_vector<float>(), expected.dbias, kSum);
  }
}

TEST_P(Conv2dFallbackTest, MakesNanOfThePaddingWhereTheOtherFactorIsNotFinite) {
  for (const Conv2dCase& test : kConv2dCases) {
    SCOPED_TRACE(test.name);
    const reference::Conv2d& c = test.sizes;
    const auto conv = cuda::conv2d_fallback(test.x_shape(), test.y_shape(), test.options());
    const std::vector<float> x = random_floats(c.x_numel(), 1), bias = random_floats(test.bias ? c.K : 0, 3);
    const Tensor images = tensor(x, test.x_shape()), biases = test.bias ? tensor(bias) : Tensor{};
    for (const float value : kNotNumbers) {
      std::vector<float> weight = random_floats(c.weight_numel(), 2), dy = random_floats(c.y_numel(), 4);
      weight.front() = weight.back() = dy.front() = value;
      const Tensor weights = tensor(weight, test.weight_shape()), gradient = tensor(dy, test.y_shape());
      Tensor y = empty(test.y_shape()), dx = empty(test.x_shape()), dweight = empty(test.weight_shape()),
             dbias = test.bias ? empty({c.K}) : Tensor{};
      conv->forward(images, weights, biases, {}, y, stream());
      expect_close(y.to_vector<float>(), reference::conv2d(c, widen(x), widen(weight), widen(bias)), kSum);
      const auto expected = reference::conv2d_backward(c, widen(x), widen(weight), widen(dy));
      conv->backward_data(gradient, weights, dx, stream());
      expect_close(dx.to_vector<float>(), expected.dx, kSum);
      conv->backward_weights(images, gradient, {}, dweight, dbias, stream());
      expect_close(dweight.to_vector<float>(), expected.dweight, kSum);
    }
  }
}

TEST_P(Conv2dFallbackTest, ReluKeepsNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Conv2dOptions options{.kernel_size = 1, .bias = false};
  const auto conv = cuda::conv2d_fallback({1, 1, 1, 3}, {1, 1, 1, 3}, options);
  Tensor y = empty({1, 1, 1, 3});
  conv->forward(tensor<float>({kNan, -1, 2}, {1, 1, 1, 3}), tensor<float>({1}, {1, 1, 1, 1}), {}, {Activation::relu}, y, stream());
  expect_close(y.to_vector<float>(), reference::Values{kNan, 0, 2}, kSameValue);
}

TEST_P(Conv2dFallbackTest, TakesViews) {
  const reference::Conv2d c{.N = 2, .C = 4, .H = 5, .W = 5, .K = 8, .kernel_size = 3, .padding = 1};
  const std::vector<float> x = random_floats(c.x_numel(), 1), weight = random_floats(c.weight_numel(), 2);
  const Conv2dOptions options{.kernel_size = 3, .padding = 1, .bias = false};
  const auto conv = cuda::conv2d_fallback({2, 4, 5, 5}, {2, 8, 5, 5}, options);
  Tensor images = empty({c.x_numel() + 1}).view(1, {2, 4, 5, 5}), weights = empty({c.weight_numel() + 2}).view(2, {8, 4, 3, 3}),
         y = empty({c.y_numel() + 3}).view(3, {2, 8, 5, 5});
  images.copy_from(tensor(x, images.shape()));
  weights.copy_from(tensor(weight, weights.shape()));
  conv->forward(images, weights, {}, {}, y, stream());
  expect_close(y.to_vector<float>(), reference::conv2d(c, widen(x), widen(weight), {}), kSum);
}

}  // namespace
}  // namespace gpucnn::kernels
