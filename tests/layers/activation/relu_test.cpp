#include <gpucnn/layers/activation/relu.h>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "reference/relu.h"

namespace gpucnn {
namespace {

class ReLULayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ReLULayer, devices(), device_name);

TEST_P(ReLULayer, ComputesTheReferencesResultAndGradient) {
  for (const Shape& shape : {Shape{5}, Shape{3, 7}, Shape{2, 3, 5, 4}, Shape{0, 4}}) {
    SCOPED_TRACE(shape.string());
    ReLU relu;
    relu.to(device());
    EXPECT_EQ(relu.output_shape(shape), shape);
    const Tensor x = random_tensor(shape, 1), dy = random_tensor(shape, 2);
    const reference::Values y = reference::relu(reference::widen(values(x)));
    expect_close(values(relu(x)), y, kSameValue);
    expect_close(values(relu.backward(dy)), reference::relu_backward(y, reference::widen(values(dy))), kSameValue);
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
