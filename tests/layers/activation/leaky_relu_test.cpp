#include <gpucnn/layers/activation/leaky_relu.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/linear.h>

#include "close.h"
#include "layers/layers.h"
#include "reference/activation.h"

namespace gpucnn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The lines of the reference with this function: the default slope and one below 0.
std::vector<reference::PointwiseActivation> lines() {
  std::vector<reference::PointwiseActivation> found;
  for (const auto& each : reference::kActivations) {
    if (each.function.kind == Activation::leaky_relu) found.push_back(each);
  }
  return found;
}

class LeakyReLULayer : public LayerTest {
 protected:
  Tensor tensor(const std::vector<float>& values) const {
    return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device());
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, LeakyReLULayer, devices(), device_name);

TEST_P(LeakyReLULayer, ComputesTheReferencesResultAndGradient) {
  ASSERT_EQ(lines().size(), 2U);
  for (const reference::PointwiseActivation& line : lines()) {
    for (const Shape& shape : {Shape{5}, Shape{3, 7}, Shape{2, 3, 5, 4}, Shape{0, 4}}) {
      SCOPED_TRACE(std::string(line.name).append(" ").append(shape.string()));
      LeakyReLU layer(line.function.negative_slope);
      layer.to(device());
      EXPECT_EQ(layer.output_shape(shape), shape);
      const Tensor x = random_tensor(shape, 1), dy = random_tensor(shape, 2);
      const reference::Values wide_x = reference::widen(values(x)), wide_dy = reference::widen(values(dy));
      expect_close(values(layer(x)), reference::activation(line, wide_x), line.tolerance);
      expect_close(values(layer.backward(dy)), reference::activation_backward(line, wide_x, wide_dy), line.tolerance);
    }
  }
}

TEST(LeakyReLU, HasPyTorchsDefault) { EXPECT_EQ(LeakyReLU().function().negative_slope, 0.01F); }

TEST_P(LeakyReLULayer, AgreesWithValuesWorkedByHand) {
  struct Case {
    double slope;
    std::vector<double> y, dx;
  };
  const Tensor x = tensor({-2, -0.0F, 0, 3, kInfinity, -kInfinity, kNan}), dy = tensor({4, 4, 4, 4, 4, 4, 4});
  for (const Case& c : {Case{0.25, {-0.5, 0, 0, 3, kInfinity, -kInfinity, kNan}, {1, 1, 1, 4, 4, 1, 1}},
                        Case{-0.5, {1, 0, 0, 3, kInfinity, kInfinity, kNan}, {-2, -2, -2, 4, 4, -2, -2}},
                        Case{0, {0, 0, 0, 3, kInfinity, kNan, kNan}, {0, 0, 0, 4, 4, 0, 0}},
                        Case{2, {-4, 0, 0, 3, kInfinity, -kInfinity, kNan}, {8, 8, 8, 4, 4, 8, 8}}}) {
    SCOPED_TRACE(c.slope);
    LeakyReLU layer(c.slope);
    layer.to(device());
    const std::vector<float> y = values(layer(x));
    expect_close(y, c.y, kSameValue);
    // The sign of a zero is that of the product.
    EXPECT_EQ(std::signbit(y[1]), !std::signbit(c.slope));
    EXPECT_EQ(std::signbit(y[2]), std::signbit(c.slope));
    expect_close(values(layer.backward(dy)), c.dx, kSameValue);
  }
}

TEST_P(LeakyReLULayer, LeavesItsInputAsItIs) {
  LeakyReLU layer;
  layer.to(device());
  const Tensor x = full({4}, -1);
  layer(x);
  EXPECT_EQ(values(x), (std::vector<float>{-1, -1, -1, -1}));
}

// A slope below 0 needs the activation's input in the backward, so that it is no epilogue.
TEST_P(LeakyReLULayer, GivesTheSameBehindAnotherLayerAsAlone) {
  for (const double slope : {0.2, 0.0, -0.2}) {
    SCOPED_TRACE(slope);
    const auto check = [&](Sequential model, const Tensor& x) {
      model.init(1).set_input_grad(true).to(device());
      const Tensor y = model(x), dy = random_tensor(y.shape(), 2), dx = model.backward(dy);
      auto& first = model.at("0");
      auto& layer = model.at("1");
      expect_close(values(y), reference::widen(values(layer(first(x)))), kSum);
      expect_close(values(dx), reference::widen(values(first.backward(layer.backward(dy)))), kSum);
    };
    check(Sequential{Conv2d(2, 3, {.kernel_size = 3}), LeakyReLU(slope)}, random_tensor({2, 2, 5, 5}, 1));
    check(Sequential{Linear(7, 4), LeakyReLU(slope)}, random_tensor({3, 7}, 1));
  }
}

}  // namespace
}  // namespace gpucnn
