#include <gpucnn/layers/activation/mul.h>

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/linear.h>

#include "close.h"
#include "layers/layers.h"

namespace gpucnn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class MulLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, MulLayer, devices(), device_name);

TEST_P(MulLayer, ScalesValuesAndGradients) {
  Mul layer(-0.5);
  layer.to(device());
  const Tensor x = tensor<float>({-2, 0, 3, kInfinity, kNan}, {5}), dy = tensor<float>({4, 4, 4, 4, 4}, {5});
  expect_close(values(layer(x)), std::vector<double>{1, 0, -1.5, -kInfinity, kNan}, kSameValue);
  expect_close(values(layer.backward(dy)), std::vector<double>{-2, -2, -2, -2, -2}, kSameValue);
  EXPECT_EQ(layer.clone<Mul>().function().factor, -0.5F);
}

// As the epilogue of a Linear.
TEST_P(MulLayer, GivesTheSameBehindALinearAsAlone) {
  Sequential model{Linear(7, 4), Mul(0.125)};
  model.init(1).set_input_grad(true).to(device());
  const Tensor x = random_tensor({3, 7}, 1), dy = random_tensor({3, 4}, 2);
  const Tensor y = model(x), dx = model.backward(dy);
  auto& first = model.at("0");
  auto& layer = model.at("1");
  expect_close(values(y), as_doubles(values(layer(first(x)))), kSum);
  expect_close(values(dx), as_doubles(values(first.backward(layer.backward(dy)))), kSum);
}

}  // namespace
}  // namespace gpucnn
