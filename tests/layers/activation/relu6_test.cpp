#include <gpucnn/layers/activation/relu6.h>

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"

namespace gpucnn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ReLU6Layer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ReLU6Layer, devices(), device_name);

TEST_P(ReLU6Layer, AgreesWithValuesWorkedByHand) {
  ReLU6 layer;
  layer.to(device());
  const std::vector<float> x{-kInfinity, -1, 0, 0.5F, 3, 5.5F, 6, 7, kInfinity, kNan};
  const std::vector<float> dy(x.size(), 2);
  const Shape shape{static_cast<std::int64_t>(x.size())};
  EXPECT_EQ(layer.output_shape(shape), shape);
  const Tensor y = layer(Tensor::from(x, shape, device()));
  expect_close(values(y), reference::Values{0, 0, 0, 0.5, 3, 5.5, 6, 6, 6, kNan}, kSameValue);
  // The gradient is 0 on both corners, and passes NaN, as in PyTorch.
  const Tensor dx = layer.backward(Tensor::from(dy, shape, device()));
  expect_close(values(dx), reference::Values{0, 0, 0, 2, 2, 2, 0, 0, 0, 2}, kSameValue);
}

}  // namespace
}  // namespace gpucnn
