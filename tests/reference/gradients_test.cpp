#include <gtest/gtest.h>

#include "close.h"
#include "reference/activation.h"
#include "reference/conv2d.h"
#include "reference/cross_entropy.h"
#include "reference/dropout.h"
#include "reference/elementwise_loss.h"
#include "reference/linear.h"
#include "reference/max_pool2d.h"
#include "reference/normalize.h"
#include "reference/numeric_gradient.h"
#include "reference/relu.h"
#include "reference/softmax.h"
#include "reference/softmax_cross_entropy.h"
#include "reference/upsample_nearest2d.h"
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

TEST(WindowMeanGradient, IsTheNumericOneWithPoolingsOptions) {
  for (const AvgPool2dOptions& pool : {AvgPool2dOptions{.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true},
                                       AvgPool2dOptions{.kernel_size = 2, .padding = 1, .count_include_pad = false},
                                       AvgPool2dOptions{.kernel_size = {3, 2}, .divisor_override = -2}}) {
    const auto windows = avg_windows(6, 5, pool);
    const Values x = random_values(2 * 6 * 5, 1), dy = random_values(2 * static_cast<std::int64_t>(windows.size()), 2);
    expect_close(window_mean_backward(windows, 6, 5, dy),
                 numeric_gradient([&](const Values& v) { return dot(window_mean(windows, 6, 5, v), dy); }, x), kNumericGradient);
  }
}

TEST(WindowMaxGradient, IsTheNumericOne) {
  const auto windows = adaptive_windows(7, 5, {3, 2});
  const Values x = random_values(2 * 7 * 5, 1), dy = random_values(2 * 3 * 2, 2);
  expect_close(window_max_backward(window_max(windows, 7, 5, x).argmax, windows.size(), 7, 5, dy),
               numeric_gradient([&](const Values& v) { return dot(window_max(windows, 7, 5, v).y, dy); }, x), kNumericGradient);
}

TEST(NormalizeGradient, IsTheNumericOne) {
  for (const std::int64_t groups : {0, 2}) {
    for (const bool fixed : {false, true}) {
      const Normalize n{.N = 3, .C = 4, .pixels = 5, .groups = groups, .eps = 1e-3};
      const Values x = random_values(n.numel(), 1), dy = random_values(n.numel(), 2), weight = random_values(4, 3),
                   bias = random_values(4, 4);
      const Statistics given = statistics(n, random_values(n.numel(), 5)), of_x = fixed ? given : statistics(n, x);
      const NormalizeGradients gradients = normalize_backward(n, x, of_x, weight, dy, fixed);
      const auto y = [&](const Values& v, const Values& w, const Values& b) {
        return dot(normalize(n, v, fixed ? given : statistics(n, v), w, b), dy);
      };
      expect_close(gradients.dx, numeric_gradient([&](const Values& v) { return y(v, weight, bias); }, x), kNumericGradient);
      expect_close(gradients.dweight, numeric_gradient([&](const Values& v) { return y(x, v, bias); }, weight), kNumericGradient);
      expect_close(gradients.dbias, numeric_gradient([&](const Values& v) { return y(x, weight, v); }, bias), kNumericGradient);
    }
  }
}

TEST(UpsampleNearest2dGradient, IsTheNumericOne) {
  const Values x = random_values(2 * 3 * 4, 1), dy = random_values(2 * 6 * 12, 2);
  expect_close(upsample_nearest2d_backward(2, 3, 4, {2, 3}, dy),
               numeric_gradient(
                   [&](const Values& v) {
                     return dot(upsample_nearest2d(2, 3, 4, {2, 3}, v), dy);
                   },
                   x),
               kNumericGradient);
}

TEST(SoftmaxGradient, IsTheNumericOne) {
  const Values x = random_values(3 * 5, 1), dy = random_values(3 * 5, 2);
  expect_close(softmax_backward(3, 5, softmax(3, 5, x), dy),
               numeric_gradient([&](const Values& v) { return dot(softmax(3, 5, v), dy); }, x), kNumericGradient);
}

TEST(DropoutGradient, IsTheNumericOne) {
  const RandomStream random(5, Purpose::dropout);
  const Values x = random_values(40, 1), dy = random_values(40, 2);
  expect_close(dropout(dy, 0.3, random), numeric_gradient([&](const Values& v) { return dot(dropout(v, 0.3, random), dy); }, x),
               kNumericGradient);
  expect_close(dropout2d(dy, 4, 0.3, random),
               numeric_gradient([&](const Values& v) { return dot(dropout2d(v, 4, 0.3, random), dy); }, x), kNumericGradient);
}

TEST(SoftmaxCrossEntropyGradient, IsTheNumericOne) {
  constexpr std::size_t N = 4, C = 7;
  const Values logits = random_values(N * C, 1);
  const std::vector<std::int32_t> labels{0, 6, 3, 3};
  expect_close(softmax_cross_entropy(N, C, logits, labels).dlogits,
               numeric_gradient([&](const Values& v) { return softmax_cross_entropy(N, C, v, labels).loss; }, logits),
               kNumericGradient);
}

TEST(CrossEntropyGradient, IsTheNumericOneWithOptions) {
  constexpr std::size_t N = 4, C = 3;
  const Values logits = random_values(N * C, 1), weight{0.5, 2, 1};
  for (const CrossEntropyTargets& targets :
       {CrossEntropyTargets{.labels = {0, 2, -100, 1}, .weight = weight, .label_smoothing = 0.2},
        CrossEntropyTargets{.labels = {0, 2, 2, 1}, .ignore_index = 2, .mean = false},
        CrossEntropyTargets{.probabilities = softmax(N, C, random_values(N * C, 2)), .weight = weight, .label_smoothing = 0.1}}) {
    expect_close(cross_entropy(N, C, logits, targets).dlogits,
                 numeric_gradient([&](const Values& v) { return cross_entropy(N, C, v, targets).loss; }, logits), kNumericGradient);
  }
}

TEST(ElementwiseLossGradient, IsTheNumericOne) {
  const Values x = random_values(40, 1), t = random_values(40, 2);
  const auto expect_numeric = [&](const auto& cost) {
    Values slopes;
    for (std::size_t i = 0; i < x.size(); ++i) slopes.push_back(cost(x[i], t[i]).slope);
    const auto sum = [&](const Values& v) {
      double all = 0;
      for (std::size_t i = 0; i < v.size(); ++i) all += cost(v[i], t[i]).value;
      return all;
    };
    expect_close(slopes, numeric_gradient(sum, x), kNumericGradient);
  };
  expect_numeric(mse);
  expect_numeric(l1);
  expect_numeric([](double v, double target) { return smooth_l1(v, target, 0.5); });
  expect_numeric([](double v, double target) { return bce_with_logits(v, std::abs(target), 0.7, 3); });
}

}  // namespace
}  // namespace gpucnn::reference
