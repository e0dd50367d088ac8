#include <gpucnn/layers/flatten.h>

#include <gtest/gtest.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

class FlattenLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, FlattenLayer, devices(), device_name);

TEST_P(FlattenLayer, KeepsPyTorchsOrderForwardAndBack) {
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{2, 3, 20}, Shape{2, 60}, Shape{2, 3, 2, 2, 5}, Shape{0, 3, 4, 5}}) {
    SCOPED_TRACE(shape.string());
    Flatten flatten;
    flatten.to(device());
    const Tensor x = random_tensor(shape, 1), y = flatten(x);
    EXPECT_EQ(y.shape(), (Shape{shape[0], 60}));
    EXPECT_EQ(values(y), values(x));
    const Tensor dy = random_tensor(y.shape(), 2), dx = flatten.backward(dy);
    EXPECT_EQ(dx.shape(), shape);
    EXPECT_EQ(values(dx), values(dy));
  }
}

TEST(Flatten, NeedsABatchDimension) {
  Flatten flatten;
  EXPECT_THAT([&] { flatten(Tensor::zeros({5})); },
              misuse("Flatten: expects at least 2 dimensions, got [5]: add a batch dimension"));
}

}  // namespace
}  // namespace gpucnn
