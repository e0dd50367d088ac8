#include <gpucnn/layers/pool/max_pool2d.h>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/max_pool2d.h"

namespace gpucnn {
namespace {

struct Window {
  Size2 kernel_size, stride, padding;
};

class MaxPool2dLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, MaxPool2dLayer, devices(), device_name);

TEST_P(MaxPool2dLayer, ComputesTheReferencesResultAndGradient) {
  for (const auto& [kernel, stride, padding] : {Window{2, 2, 0}, Window{3, 1, 1}, Window{{2, 3}, {3, 1}, {1, 0}}}) {
    SCOPED_TRACE(kernel.width);
    MaxPool2d pool(kernel, stride, padding);
    pool.to(device());
    const Tensor x = random_tensor({2, 3, 9, 7}, 1);
    const reference::MaxPool2d sizes{6, 9, 7, kernel, stride, padding};
    const reference::MaxPooled expected = reference::max_pool2d(sizes, reference::widen(values(x)));
    const Tensor y = pool(x), dy = random_tensor(y.shape(), 2);
    EXPECT_EQ(y.shape(), (Shape{2, 3, sizes.Ho(), sizes.Wo()}));
    expect_close(values(y), expected.y, kSameValue);
    expect_close(values(pool.backward(dy)), reference::max_pool2d_backward(sizes, reference::widen(values(dy)), expected.argmax),
                 kSum);
    expect_close(values(pool.predict(x)), expected.y, kSameValue);
  }
}

TEST(MaxPool2d, StepsByItsWindowUnlessToldOtherwise) {
  EXPECT_EQ(MaxPool2d(Size2{2, 3}).output_shape({1, 1, 9, 9}), (Shape{1, 1, 4, 3}));
}

TEST(MaxPool2d, RefusesOptionsOutOfTheirBounds) {
  EXPECT_THAT([] { MaxPool2d(0); }, misuse("max_pool2d: kernel_size must be positive and at most 256 elements, got 0x0"));
  EXPECT_THAT([] { MaxPool2d(Size2{1, 257}); }, misuse("at most 256 elements"));
  EXPECT_THAT([] { MaxPool2d(2, 0); }, misuse("max_pool2d: stride must be positive, got 0x0"));
  EXPECT_THAT([] { MaxPool2d(2, 1, 2); }, misuse("max_pool2d: padding must be"));
  EXPECT_THAT([] { MaxPool2d(2, 1, -1); }, misuse("max_pool2d: padding must be"));
}

TEST(MaxPool2d, NamesItselfForAShapeThatDoesNotFit) {
  MaxPool2d pool(3);
  EXPECT_THAT(
      [&] {
        pool(Tensor::zeros({3, 8, 8}));
      },
      misuse("MaxPool2d: expects [N, C, H, W], got [3, 8, 8]: add a batch dimension"));
  EXPECT_THAT(
      [&] {
        pool(Tensor::zeros({1, 3, 2, 8}));
      },
      misuse("MaxPool2d: a window of 3x3 with padding 0x0 does not fit [1, 3, 2, 8]"));
}

}  // namespace
}  // namespace gpucnn
