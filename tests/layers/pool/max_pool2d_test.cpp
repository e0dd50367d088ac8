#include <gpucnn/layers/pool/max_pool2d.h>

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/max_pool2d.h"

namespace gpucnn {
namespace {

struct Window {
  Size2 kernel_size, stride, padding;
};

/// Options that the stages with a ReLU must serve or leave alone.
const MaxPool2dOptions kOptions[] = {
    {.kernel_size = 2, .ceil_mode = true},
    {.kernel_size = 2, .dilation = 2},
    {.kernel_size = {18, 17}, .stride = 1, .padding = {9, 8}},
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

TEST_P(MaxPool2dLayer, ServesEveryOptionBehindAConvolutionAndReLU) {
  for (const MaxPool2dOptions& options : kOptions) {
    SCOPED_TRACE(options.kernel_size.height);
    const Tensor x = random_tensor({2, 3, 9, 7}, 1);
    Conv2d conv(3, 4, {.kernel_size = 3, .padding = 1});
    conv.to(device());
    const Tensor between = conv.predict(x);
    Sequential joined{Conv2d(3, 4, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(options)};
    joined.to(device());
    for (const char* name : {"weight", "bias"}) {
      Tensor(joined.state_dict().at(fmt::format("0.{}", name))).copy_from(conv.state_dict().at(name));
    }
    reference::MaxPool2d sizes{8, 9, 7, options.kernel_size, options.stride.value_or(options.kernel_size), options.padding};
    sizes.dilation = options.dilation;
    sizes.ceil_mode = options.ceil_mode;
    reference::Values activated = reference::widen(values(between));
    for (double& value : activated) value = std::max(value, 0.0);
    const Tensor y = joined(x);
    expect_close(values(y), reference::max_pool2d(sizes, activated).y, kSum);
    Sequential alone{ReLU(), MaxPool2d(options)};
    alone.to(device());
    alone.set_input_grad(true);
    expect_close(values(alone(between)), reference::max_pool2d(sizes, activated).y, kSameValue);
    const Tensor dy = random_tensor(y.shape(), 2);
    reference::Values dx =
        reference::max_pool2d_backward(sizes, reference::widen(values(dy)), reference::max_pool2d(sizes, activated).argmax);
    for (std::size_t i = 0; i < dx.size(); ++i) dx[i] = activated[i] > 0 ? dx[i] : 0;
    expect_close(values(alone.backward(dy)), dx, kSum);
  }
}

TEST(MaxPool2d, StepsByItsWindowUnlessToldOtherwise) {
  EXPECT_EQ(MaxPool2d(Size2{2, 3}).output_shape({1, 1, 9, 9}), (Shape{1, 1, 4, 3}));
}

TEST(MaxPool2d, TakesPyTorchsOptions) {
  EXPECT_EQ(MaxPool2d({.kernel_size = 3}).output_shape({1, 1, 9, 9}), (Shape{1, 1, 3, 3}));
  EXPECT_EQ(MaxPool2d({.kernel_size = 3, .stride = 2, .ceil_mode = true}).output_shape({1, 1, 8, 8}), (Shape{1, 1, 4, 4}));
  EXPECT_EQ(MaxPool2d({.kernel_size = 3, .stride = 1, .padding = 1, .dilation = 2}).output_shape({1, 1, 9, 9}),
            (Shape{1, 1, 7, 7}));
}

TEST(MaxPool2d, RefusesOptionsOutOfTheirBounds) {
  EXPECT_THAT([] { MaxPool2d(0); }, misuse("MaxPool2d: kernel_size must be positive and at most 2147483647 elements, got 0x0"));
  EXPECT_THAT([] { MaxPool2d(Size2{1 << 16, 1 << 15}); }, misuse("at most 2147483647 elements"));
  EXPECT_THAT([] { MaxPool2d({.kernel_size = 2, .dilation = 0}); }, misuse("MaxPool2d: dilation must be positive, got 0x0"));
  EXPECT_THAT([] { MaxPool2d(2, 0); }, misuse("MaxPool2d: stride must be positive, got 0x0"));
  EXPECT_THAT([] { MaxPool2d(2, 1, 2); }, misuse("MaxPool2d: padding must be"));
  EXPECT_THAT([] { MaxPool2d(2, 1, -1); }, misuse("MaxPool2d: padding must be"));
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
