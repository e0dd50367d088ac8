#include <gtest/gtest.h>

#include "close.h"
#include "reference/activation.h"
#include "reference/conv2d.h"
#include "reference/dropout.h"
#include "reference/linear.h"
#include "reference/max_pool2d.h"
#include "reference/numeric_gradient.h"
#include "reference/relu.h"
#include "reference/softmax_cross_entropy.h"
#include "reference/window_pool.h"

namespace gpucnn::reference {
namespace {

template <class Sizes>
struct Named {
  const char* name;
  Sizes sizes;
};

constexpr auto name_of_case = [](const auto& info) { return std::string(info.param.name); };

// Each gradient is that of dot(op(x), dy) for a random dy.

class Conv2dGradient : public testing::TestWithParam<Named<Conv2d>> {};

TEST_P(Conv2dGradient, IsTheNumericOne) {
  const Conv2d& c = GetParam().sizes;
  const Values x = random_values(c.x_numel(), 1), weight = random_values(c.weight_numel(), 2), bias = random_values(c.K, 3);
  const Values dy = random_values(c.y_numel(), 4);
  const Conv2dGradients gradients = conv2d_backward(c, x, weight, dy);
  expect_close(gradients.dx, numeric_gradient([&](const Values& v) { return dot(conv2d(c, v, weight, bias), dy); }, x),
               kNumericGradient);
  expect_close(gradients.dweight, numeric_gradient([&](const Values& v) { return dot(conv2d(c, x, v, bias), dy); }, weight),
               kNumericGradient);
  expect_close(gradients.dbias, numeric_gradient([&](const Values& v) { return dot(conv2d(c, x, weight, v), dy); }, bias),
               kNumericGradient);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, Conv2dGradient,
    testing::Values(
        Named<Conv2d>{"padded", {.N = 2, .C = 3, .H = 5, .W = 4, .K = 2, .kernel_size = 3, .padding = 1}},
        Named<Conv2d>{"strided_oblong",
                      {.N = 1, .C = 2, .H = 7, .W = 6, .K = 3, .kernel_size = {3, 2}, .stride = {2, 3}, .padding = {2, 1}}},
        Named<Conv2d>{"dilated_groups",
                      {.N = 2, .C = 4, .H = 6, .W = 7, .K = 6, .kernel_size = {2, 3}, .dilation = {3, 2}, .groups = 2}},
        Named<Conv2d>{"depthwise", {.N = 1, .C = 3, .H = 4, .W = 4, .K = 3, .kernel_size = 3, .padding = 1, .groups = 3}},
        Named<Conv2d>{"one_pixel", {.N = 3, .C = 1, .H = 1, .W = 1, .K = 1, .kernel_size = 1}}),
    name_of_case);

TEST(LinearGradient, IsTheNumericOne) {
  constexpr std::size_t N = 3, in = 5, out = 4;
  const Values x = random_values(N * in, 1), weight = random_values(out * in, 2), bias = random_values(out, 3);
  const Values dy = random_values(N * out, 4);
  const LinearGradients gradients = linear_backward(N, in, out, x, weight, dy);
  expect_close(gradients.dx, numeric_gradient([&](const Values& v) { return dot(linear(N, in, out, v, weight, bias), dy); }, x),
               kNumericGradient);
  expect_close(gradients.dweight,
               numeric_gradient([&](const Values& v) { return dot(linear(N, in, out, x, v, bias), dy); }, weight),
               kNumericGradient);
  expect_close(gradients.dbias, numeric_gradient([&](const Values& v) { return dot(linear(N, in, out, x, weight, v), dy); }, bias),
               kNumericGradient);
}

TEST(ActivationGradient, IsTheNumericOne) {
  const Values x = random_values(50, 1), dy = random_values(50, 2);
  for (const PointwiseActivation& each : kActivations) {
    SCOPED_TRACE(each.name);
    expect_close(activation_backward(each, x, dy),
                 numeric_gradient([&](const Values& v) { return dot(activation(each, v), dy); }, x), kNumericGradient);
  }
  expect_close(relu_backward(relu(x), dy), numeric_gradient([&](const Values& v) { return dot(relu(v), dy); }, x),
               kNumericGradient);
}

class MaxPool2dGradient : public testing::TestWithParam<Named<MaxPool2d>> {};

TEST_P(MaxPool2dGradient, IsTheNumericOne) {
  const MaxPool2d& p = GetParam().sizes;
  const Values x = random_values(p.planes * p.H * p.W, 1), dy = random_values(p.planes * p.Ho() * p.Wo(), 2);
  expect_close(max_pool2d_backward(p, dy, max_pool2d(p, x).argmax),
               numeric_gradient([&](const Values& v) { return dot(max_pool2d(p, v).y, dy); }, x), kNumericGradient);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, MaxPool2dGradient,
    testing::Values(
        Named<MaxPool2d>{"halving", {.planes = 4, .H = 6, .W = 6, .kernel_size = 2, .stride = 2}},
        Named<MaxPool2d>{"overlapping", {.planes = 2, .H = 7, .W = 5, .kernel_size = 3, .stride = 1, .padding = 1}},
        Named<MaxPool2d>{"oblong", {.planes = 1, .H = 9, .W = 7, .kernel_size = {4, 2}, .stride = {3, 2}, .padding = {2, 1}}},
        Named<MaxPool2d>{"dilated",
                         {.planes = 2, .H = 8, .W = 7, .kernel_size = 2, .stride = 2, .dilation = {2, 3}, .ceil_mode = true}}),
    name_of_case);

TEST(WindowMeanGradient, IsTheNumericOne) {
  const auto windows = adaptive_windows(7, 5, {3, 2});
  const Values x = random_values(2 * 7 * 5, 1), dy = random_values(2 * 3 * 2, 2);
  expect_close(window_mean_backward(windows, 7, 5, dy),
               numeric_gradient([&](const Values& v) { return dot(window_mean(windows, 7, 5, v), dy); }, x), kNumericGradient);
}

TEST(DropoutGradient, IsTheNumericOne) {
  const RandomStream random(5, Purpose::dropout);
  const Values x = random_values(40, 1), dy = random_values(40, 2);
  expect_close(dropout(dy, 0.3, random), numeric_gradient([&](const Values& v) { return dot(dropout(v, 0.3, random), dy); }, x),
               kNumericGradient);
}

TEST(SoftmaxCrossEntropyGradient, IsTheNumericOne) {
  constexpr std::size_t N = 4, C = 7;
  const Values logits = random_values(N * C, 1);
  const std::vector<std::int32_t> labels{0, 6, 3, 3};
  expect_close(softmax_cross_entropy(N, C, logits, labels).dlogits,
               numeric_gradient([&](const Values& v) { return softmax_cross_entropy(N, C, v, labels).loss; }, logits),
               kNumericGradient);
}

}  // namespace
}  // namespace gpucnn::reference
