#include <gpucnn/layers/activation/relu.h>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "reference/activation.h"

namespace gpucnn {
namespace {

const reference::PointwiseActivation& kRelu = reference::kActivations[1];

class ReLULayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ReLULayer, devices(), device_name);

TEST_P(ReLULayer, ComputesTheReferencesResultAndGradient) {
  for (const Shape& shape : {Shape{5}, Shape{3, 7}, Shape{2, 3, 5, 4}, Shape{0, 4}}) {
    SCOPED_TRACE(shape.string());
    ReLU relu;
    relu.to(device());
    EXPECT_EQ(relu.output_shape(shape), shape);
    const Tensor x = random_tensor(shape, 1), dy = random_tensor(shape, 2);
    const reference::Values wide_x = reference::widen(values(x)), wide_dy = reference::widen(values(dy));
    expect_close(values(relu(x)), reference::activation(kRelu, wide_x), kRelu.tolerance);
    expect_close(values(relu.backward(dy)), reference::activation_backward(kRelu, wide_x, wide_dy), kRelu.tolerance);
  }
}

TEST_P(ReLULayer, LeavesItsInputAsItIs) {
  ReLU relu;
  relu.to(device());
  const Tensor x = full({4}, -1);
  relu(x);
  EXPECT_EQ(values(x), (std::vector<float>{-1, -1, -1, -1}));
}

}  // namespace
}  // namespace gpucnn
