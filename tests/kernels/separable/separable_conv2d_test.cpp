#include <gpucnn/kernels/separable/separable_conv2d.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/pool/max_pool2d.h>

#include "close.h"
#include "everywhere.h"
#include "kernels/conv/conv2d_case.h"
#include "reference/conv2d.h"

// A band of rows that goes through several operations gives what they give one by one.
namespace gpucnn::kernels {
namespace {

using reference::random_floats;

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Pool2d kPool{.kernel_size = 2, .stride = 2};

struct Case {
  const char* name;
  Shape x;
  std::int64_t K;
  bool pooled;
  Conv2dOptions depthwise;
  bool rectifies_between = true, rectifies = true;

  Conv2dOptions pointwise() const { return {.kernel_size = 1, .bias = depthwise.bias}; }
};

Conv2dOptions depthwise(int channels, Size2 kernel_size, Size2 stride, Padding2d padding, bool bias = true) {
  return {.kernel_size = kernel_size, .stride = stride, .padding = padding, .groups = channels, .bias = bias};
}

const Case kCases[] = {
    {"pooled", {3, 32, 16, 16}, 64, true, depthwise(32, 3, 1, 1)},
    {"odd sizes", {2, 19, 13, 11}, 37, true, depthwise(19, 3, 1, 1, false)},
    {"not pooled", {2, 19, 13, 11}, 37, false, depthwise(19, 3, 1, 1)},
    {"stride", {2, 24, 17, 18}, 40, false, depthwise(24, 3, 2, 1)},
    {"stride, pooled", {2, 24, 17, 18}, 40, true, depthwise(24, 3, 2, 1)},
    {"5x5", {2, 7, 9, 30}, 5, true, depthwise(7, 5, 1, 2)},
    {"without padding", {2, 16, 10, 9}, 16, true, depthwise(16, 3, 1, 0)},
    {"without ReLUs", {2, 16, 10, 9}, 16, true, depthwise(16, 3, 1, 1), false, false},
    {"rows beyond a band", {1, 2, 5, 200}, 3, true, depthwise(2, 3, 1, 1)},
    {"many terms", {1, 600, 4, 5}, 33, false, depthwise(600, 3, 1, 1)},
    {"one column", {2, 5, 4, 1}, 3, false, depthwise(5, 3, 1, 1)},
    {"windows of no pixel", {2, 5, 4, 1}, 3, true, depthwise(5, 3, 1, 1)},
};

struct Operands {
  explicit Operands(const Case& c)
      : x(random_floats(c.x.numel(), 1)),
        taps(random_floats(conv2d_weight_shape(c.x[1], c.x[1], c.depthwise).numel(), 2)),
        tap_bias(random_floats(c.x[1], 3)),
        weight(random_floats(c.K * c.x[1], 4)),
        bias(random_floats(c.K, 5)) {}
  std::vector<float> x, taps, tap_bias, weight, bias;
};

struct Tensors {
  Tensors(const Case& c, const Operands& o)
      : x(Tensor::from(o.x, c.x)),
        taps(Tensor::from(o.taps, conv2d_weight_shape(c.x[1], c.x[1], c.depthwise))),
        tap_bias(c.depthwise.bias ? Tensor::from(o.tap_bias, {c.x[1]}) : Tensor{}),
        weight(Tensor::from(o.weight, {c.K, c.x[1], 1, 1})),
        bias(c.depthwise.bias ? Tensor::from(o.bias, {c.K}) : Tensor{}) {}
  Tensor x, taps, tap_bias, weight, bias;
};

Activation relu_if(bool rectifies) { return rectifies ? Activation{Activation::relu} : Activation{}; }

/// Empty where the plan leaves it to the operations.
std::vector<float> together(const Case& c, const Operands& operands) {
  const Tensors t(c, operands);
  SeparableConv2d plan(c.x, {c.depthwise, c.pointwise(), c.K, c.pooled});
  Tensor y = Tensor::zeros(plan.y_shape());
  const bool done = plan.forward(t.x, {t.taps, t.tap_bias, c.rectifies_between}, {t.weight, t.bias, c.rectifies}, y);
  return done ? y.to_vector<float>() : std::vector<float>{};
}

std::vector<float> one_by_one(const Case& c, const Operands& operands) {
  const Tensors t(c, operands);
  Stream stream;
  Conv2dPlan first(c.x, c.x[1], c.depthwise, Device::cpu());
  Tensor between = Tensor::zeros(first.y_shape());
  first.forward(t.x, t.taps, t.tap_bias, relu_if(c.rectifies_between), between, stream);
  Conv2dPlan second(between.shape(), c.K, c.pointwise(), Device::cpu());
  Tensor y = Tensor::zeros(second.y_shape());
  second.forward(between, t.weight, t.bias, relu_if(c.rectifies && !c.pooled), y, stream);
  if (!c.pooled) return y.to_vector<float>();
  if (y.dim(2) < 2 || y.dim(3) < 2) return {};
  Tensor pooled = Tensor::zeros(max_pool2d_shape(y.shape(), kPool)), none;
  max_pool2d(y, kPool, pooled, none, stream);
  activation(pooled, relu_if(c.rectifies), pooled, stream);
  return pooled.to_vector<float>();
}

bool have_the_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, [](float x, float y) { return std::memcmp(&x, &y, sizeof x) == 0; });
}

TEST(SeparableConv2d, HasTheBitsOfItsOperations) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Operands operands(c);
    everywhere(Device::cpu(), [&] {
      const std::vector<float> y = together(c, operands);
      EXPECT_TRUE(have_the_same_bits(y, one_by_one(c, operands)));
      return y;
    });
  }
}

TEST(SeparableConv2d, EqualsTheReference) {
  const Case c{"", {2, 19, 13, 11}, 37, false, depthwise(19, 3, 1, 1), false, false};
  const Operands o(c);
  const reference::Conv2d first{.N = 2, .C = 19, .H = 13, .W = 11, .K = 19, .kernel_size = 3, .padding = 1, .groups = 19};
  const reference::Conv2d second{.N = 2, .C = 19, .H = 13, .W = 11, .K = 37, .kernel_size = 1};
  using reference::widen;
  const std::vector<double> between = reference::conv2d(first, widen(o.x), widen(o.taps), widen(o.tap_bias));
  expect_close(together(c, o), reference::conv2d(second, between, widen(o.weight), widen(o.bias)), kSum);
}

TEST(SeparableConv2d, KeepsWhatIsNotFinite) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Operands operands(c);
    operands.x.front() = kInfinity;
    operands.x.back() = kNan;
    operands.weight.back() = -kInfinity;
    everywhere(Device::cpu(), [&] {
      const std::vector<float> y = together(c, operands);
      EXPECT_TRUE(have_the_same_bits(y, one_by_one(c, operands)));
      return y;
    });
  }
}

TEST(SeparableConv2d, LeavesWhatMakesNanOfPaddingToItsOperations) {
  for (const bool pads : {true, false}) {
    const Case c{"", {1, 16, 8, 8}, 16, true, depthwise(16, 3, 1, pads ? 1 : 0)};
    Operands operands(c);
    operands.taps.front() = kNan;
    EXPECT_EQ(together(c, operands).empty(), pads);
  }
}

TEST(SeparableConv2d, SeesThatWeightsHaveChanged) {
  const Case& c = kCases[0];
  Operands operands(c);
  const Tensors t(c, operands);
  SeparableConv2d plan(c.x, {c.depthwise, c.pointwise(), c.K, c.pooled});
  Tensor y = Tensor::zeros(plan.y_shape());
  for (const float factor : {1.0F, 2.0F}) {
    for (float& value : operands.taps) value *= factor;
    for (float& value : operands.weight) value *= factor;
    for (float& value : operands.bias) value *= factor;
    const Tensors now(c, operands);
    ASSERT_TRUE(plan.forward(t.x, {now.taps, now.tap_bias, true}, {now.weight, now.bias, true}, y));
    EXPECT_TRUE(have_the_same_bits(y.to_vector<float>(), one_by_one(c, operands)));
  }
}

}  // namespace
}  // namespace gpucnn::kernels
