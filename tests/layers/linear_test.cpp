#include <gpucnn/layers/linear.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/linear.h"

namespace gpucnn {
namespace {

using reference::widen;

class LinearLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, LinearLayer, devices(), device_name);

TEST_P(LinearLayer, ComputesTheReferencesResultAndGradients) {
  for (const bool with_bias : {true, false}) {
    SCOPED_TRACE(with_bias);
    Linear linear(37, 12, {.bias = with_bias});
    linear.to(device());
    const Tensor x = random_tensor({33, 37}, 1), dy = random_tensor({33, 12}, 2);
    const Tensor y = linear(x);
    EXPECT_EQ(y.shape(), (Shape{33, 12}));
    const reference::Values weight = widen(values(linear.weight().value()));
    const reference::Values bias = with_bias ? widen(values(linear.bias().value())) : reference::Values{};
    expect_close(values(y), reference::linear(33, 37, 12, widen(values(x)), weight, bias), products_on(device()));
    const auto expected = reference::linear_backward(33, 37, 12, widen(values(x)), weight, widen(values(dy)));
    expect_close(values(linear.backward(dy)), expected.dx, products_on(device()));
    expect_close(values(linear.weight().grad()), expected.dweight, products_on(device()));
    if (with_bias) expect_close(values(linear.bias().grad()), expected.dbias, products_on(device()));
  }
}

TEST(Linear, DrawsWeightAndBiasWithinPyTorchsBounds) {
  Linear linear(25, 100);
  linear.init(1);
  for (const Parameter& parameter : {linear.weight(), linear.bias()}) {
    const std::vector<float> drawn = values(parameter.value());
    const auto [least, most] = std::minmax_element(drawn.begin(), drawn.end());
    EXPECT_GE(*least, -0.2F);
    EXPECT_LT(*least, -0.17F);
    EXPECT_LE(*most, 0.2F);
    EXPECT_GT(*most, 0.17F);
  }
}

TEST(Linear, HasPyTorchsParameters) {
  Linear linear(4, 6), plain(4, 6, {.bias = false});
  EXPECT_EQ(linear.weight().shape(), (Shape{6, 4}));
  EXPECT_EQ(linear.bias().shape(), (Shape{6}));
  EXPECT_EQ(names(linear.parameters()), (std::vector<std::string>{"weight", "bias"}));
  EXPECT_EQ(names(plain.parameters()), (std::vector<std::string>{"weight"}));
}

TEST(Linear, RefusesSizesBelowOne) {
  EXPECT_THAT([] { Linear(0, 3); }, misuse("Linear: in_features and out_features must be at least 1, got 0 and 3"));
  EXPECT_THAT([] { Linear(3, -1); }, misuse("Linear: in_features and out_features must be at least 1, got 3 and -1"));
}

TEST(Linear, NamesItselfForAShapeThatDoesNotFit) {
  Linear linear(3, 2);
  EXPECT_THAT([&] { linear(Tensor::zeros({1, 4})); }, misuse("Linear: expects 3 input features, got 4"));
  EXPECT_THAT([&] { linear(Tensor::zeros({3})); }, misuse("Linear: expects [N, 3], got [3]: add a batch dimension"));
  EXPECT_THAT([&] { linear(Tensor::zeros({1, 3, 1, 1})); }, misuse("Linear: expects [N, 3], got [1, 3, 1, 1]"));
}

}  // namespace
}  // namespace gpucnn
