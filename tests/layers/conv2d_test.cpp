#include <gpucnn/layers/conv2d.h>

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/conv2d.h"

namespace gpucnn {
namespace {

using reference::widen;

struct Case {
  const char* name;
  std::int64_t N;
  int in, out;
  std::int64_t H, W;
  Conv2dOptions options;
};

const Case kCases[] = {
    {"same_size", 3, 3, 16, 12, 12, {.kernel_size = 3, .padding = 1}},
    {"no_bias", 2, 4, 6, 9, 7, {.kernel_size = {3, 2}, .stride = 2, .bias = false}},
    {"dilated_groups", 9, 4, 6, 8, 8, {.kernel_size = 3, .padding = {2, 1}, .dilation = 2, .groups = 2}},
};

class Conv2dLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dLayer, devices(), device_name);

TEST_P(Conv2dLayer, ComputesTheReferencesResultAndGradients) {
  for (const auto& [name, N, in, out, H, W, options] : kCases) {
    SCOPED_TRACE(name);
    Conv2d conv(in, out, options);
    conv.to(device());
    const Shape shape{N, in, H, W};
    const Tensor x = random_tensor(shape, 1);
    const Tensor y = conv(x);
    EXPECT_EQ(y.shape(), conv.output_shape(shape));
    const reference::Conv2d sizes{.N = N,
                                  .C = in,
                                  .H = H,
                                  .W = W,
                                  .K = out,
                                  .kernel_size = options.kernel_size,
                                  .stride = options.stride,
                                  .padding = options.padding,
                                  .dilation = options.dilation,
                                  .groups = options.groups};
    const reference::Values weight = widen(values(conv.weight().value()));
    const reference::Values bias = options.bias ? widen(values(conv.bias().value())) : reference::Values{};
    expect_close(values(y), reference::conv2d(sizes, widen(values(x)), weight, bias), products_on(device()));
    const Tensor dy = random_tensor(y.shape(), 2);
    const Tensor dx = conv.backward(dy);
    const auto expected = reference::conv2d_backward(sizes, widen(values(x)), weight, widen(values(dy)));
    expect_close(values(dx), expected.dx, products_on(device()));
    expect_close(values(conv.weight().grad()), expected.dweight, products_on(device()));
    if (options.bias) expect_close(values(conv.bias().grad()), expected.dbias, products_on(device()));
  }
}

TEST(Conv2d, DrawsWeightAndBiasWithinPyTorchsBounds) {
  Conv2d conv(8, 40, {.kernel_size = {3, 2}, .groups = 2});
  conv.init(1);
  const float bound = static_cast<float>(1 / std::sqrt(8 / 2 * 3 * 2));
  for (const Parameter& parameter : {conv.weight(), conv.bias()}) {
    const std::vector<float> drawn = values(parameter.value());
    const auto [least, most] = std::minmax_element(drawn.begin(), drawn.end());
    EXPECT_GE(*least, -bound);
    EXPECT_LT(*least, -0.8F * bound);
    EXPECT_LE(*most, bound);
    EXPECT_GT(*most, 0.8F * bound);
  }
}

TEST(Conv2d, HasPyTorchsParameters) {
  Conv2d conv(4, 6, {.kernel_size = {3, 5}, .groups = 2}), plain(4, 6, {.kernel_size = 1, .bias = false});
  EXPECT_EQ(conv.weight().shape(), (Shape{6, 2, 3, 5}));
  EXPECT_EQ(conv.bias().shape(), (Shape{6}));
  EXPECT_EQ(names(conv.parameters()), (std::vector<std::string>{"weight", "bias"}));
  EXPECT_EQ(names(plain.parameters()), (std::vector<std::string>{"weight"}));
  EXPECT_FALSE(plain.bias().defined());
  EXPECT_EQ(conv.options().groups, 2);
}

TEST(Conv2d, RefusesOptionsOutOfTheirBounds) {
  const auto make = [](int in, int out, Conv2dOptions options) { return [=] { Conv2d(in, out, options); }; };
  EXPECT_THAT(make(0, 1, {.kernel_size = 1}), misuse("Conv2d: in_channels and out_channels must be at least 1, got 0 and 1"));
  EXPECT_THAT(make(1, -1, {.kernel_size = 1}), misuse("Conv2d: in_channels and out_channels must be at least 1, got 1 and -1"));
  EXPECT_THAT(make(1, 1, {.kernel_size = {3, 0}}), misuse("Conv2d: kernel_size must be at least 1, got 3x0"));
  EXPECT_THAT(make(1, 1, {.kernel_size = 1, .stride = 0}), misuse("Conv2d: stride must be at least 1, got 0x0"));
  EXPECT_THAT(make(1, 1, {.kernel_size = 1, .padding = -1}), misuse("Conv2d: padding must be at least 0, got -1x-1"));
  EXPECT_THAT(make(1, 1, {.kernel_size = 1, .padding = Sides{.right = -1}}),
              misuse("Conv2d: padding must be at least 0, got 0 above, 0 below, 0 left, -1 right"));
  EXPECT_THAT(make(1, 1, {.kernel_size = 1, .dilation = {1, 0}}), misuse("Conv2d: dilation must be at least 1, got 1x0"));
  EXPECT_THAT(make(4, 6, {.kernel_size = 1, .groups = 3}),
              misuse("groups must be at least 1 and divide in_channels and out_channels, got 3 groups of 4 and 6 channels"));
}

TEST(Conv2d, TurnsSameIntoNumbers) {
  const auto sides = [](Conv2dOptions options) { return Conv2d(1, 1, options).options().padding; };
  EXPECT_EQ(sides({.kernel_size = 3, .padding = Padding2d::same}), 1);
  EXPECT_EQ(sides({.kernel_size = {1, 4}, .padding = Padding2d::same}), (Sides{.left = 1, .right = 2}));
  EXPECT_EQ(sides({.kernel_size = 2, .padding = Padding2d::same, .dilation = {3, 2}}), (Sides{1, 2, 1, 1}));
  EXPECT_EQ(sides({.kernel_size = 5, .padding = Padding2d::valid}), 0);
  EXPECT_EQ(Conv2d(1, 2, {.kernel_size = {4, 7}, .padding = Padding2d::same, .dilation = 3}).output_shape({1, 1, 5, 6}),
            (Shape{1, 2, 5, 6}));
}

TEST(Conv2d, RefusesSameWhereItCannotBe) {
  EXPECT_THAT(
      [] {
        Conv2d(1, 1, {.kernel_size = 3, .stride = {1, 2}, .padding = Padding2d::same});
      },
      misuse("Conv2d: padding \"same\" needs a stride of 1, got 1x2"));
  EXPECT_THAT([] { Conv2d(1, 1, {.kernel_size = 1 << 20, .padding = Padding2d::same, .dilation = 1 << 20}); },
              misuse("Conv2d: padding \"same\" of a window of 1099510579201 is more than 31 bits count"));
}

TEST(Conv2d, NamesItselfForAShapeThatDoesNotFit) {
  Conv2d conv(3, 4, {.kernel_size = 5});
  EXPECT_THAT([&] { conv(Tensor::zeros({2, 1, 8, 8})); }, misuse("Conv2d: expects 3 input channels, got 1"));
  EXPECT_THAT(
      [&] {
        conv(Tensor::zeros({3, 8, 8}));
      },
      misuse("Conv2d: expects [N, C, H, W], got [3, 8, 8]: add a batch dimension"));
  EXPECT_THAT(
      [&] {
        conv(Tensor::zeros({2, 3, 8, 4}));
      },
      misuse("Conv2d: a window of 5x5 does not fit [2, 3, 8, 4] with padding 0x0"));
  EXPECT_THAT(
      [] {
        Conv2d(3, 4, {.kernel_size = 9, .padding = Sides{.left = 1}}).output_shape({2, 3, 9, 7});
      },
      misuse("a window of 9x9 does not fit [2, 3, 9, 7] with padding 0 above, 0 below, 1 left, 0 right"));
}

TEST_P(Conv2dLayer, ServesManyInputShapesInAnyOrder) {
  Conv2d conv(2, 3, {.kernel_size = 3});
  conv.to(device());
  std::vector<std::vector<float>> first;
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t size = 3; size < 12; ++size) {  // more than there are plans kept
      const Tensor y = conv(random_tensor({1, 2, size, size}, 1));
      const std::vector<float> dx = values(conv.backward(random_tensor(y.shape(), 2)));
      if (round == 0) first.push_back(dx);
      EXPECT_EQ(dx, first[static_cast<std::size_t>(size - 3)]);
    }
  }
}

}  // namespace
}  // namespace gpucnn
