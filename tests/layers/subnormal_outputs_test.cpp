#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "everywhere.h"
#include "layers/layers.h"

// Numbers below 2^-126 count where something is decided: whether a ReLU passes a gradient on, and which element of a window does.
namespace gpucnn {
namespace {

constexpr float kTiny = 1e-38F, kHalf = 0.5F, kSubnormal = kTiny * kHalf;
static_assert(kSubnormal > 0 && kSubnormal < 0x1p-126F);

class SubnormalOutputs : public LayerTest {
 protected:
  /// Weights of 0 but for `kHalf` at (k, k % C) of the first layer, in the middle of a kernel, and no bias.
  static void set_halves(Module& net) {
    Parameter weight = net.parameters().front();
    const Shape& shape = weight.shape();
    const std::int64_t taps = shape.rank() == 4 ? shape[2] * shape[3] : 1;
    std::vector<float> all(static_cast<std::size_t>(shape.numel()), 0.0F);
    for (std::int64_t k = 0; k < shape[0]; ++k) {
      all[static_cast<std::size_t>((k * shape[1] + k % shape[1]) * taps + taps / 2)] = kHalf;
    }
    weight.set_value(Tensor::from(all, shape));
    net.parameters().back().set_value(Tensor::zeros(net.parameters().back().shape()));
  }

  /// Every output is kSubnormal, and a gradient of 1 passes wherever one arrives.
  void expect_open(Sequential net, const Shape& x) {
    set_halves(net.init(1));
    net.to(device());
    net.set_input_grad(true);
    const Tensor input = full(x, kTiny);
    everywhere(device(), [&] {
      const Tensor y = net(input), dx = net.backward(full(y.shape(), 1));
      const std::vector<float> ys = values(y), dxs = values(dx);
      EXPECT_EQ(std::ranges::count(ys, kSubnormal), y.numel());
      float passed = 0;
      for (const float value : dxs) passed += value;
      EXPECT_EQ(passed, kHalf * static_cast<float>(y.numel()));
      EXPECT_EQ(values(net.predict(input)), ys);
      return ys;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SubnormalOutputs, devices(), device_name);

TEST_P(SubnormalOutputs, OpenTheReluBehindALinear) {
  expect_open(Sequential{Linear(1, 1), ReLU()}, {1, 1});
  expect_open(Sequential{Linear(1, 1), ReLU()}, {33, 1});
  expect_open(Sequential{Linear(33, 7), ReLU()}, {5, 33});
  expect_open(Sequential{Linear(300, 33), ReLU()}, {20, 300});
}

TEST_P(SubnormalOutputs, OpenTheReluBehindAConvolution) {
  expect_open(Sequential{Conv2d(1, 1, {.kernel_size = 1}), ReLU()}, {1, 1, 1, 1});
  expect_open(Sequential{Conv2d(3, 5, {.kernel_size = 1}), ReLU()}, {5, 3, 5, 7});
  expect_open(Sequential{Conv2d(3, 17, {.kernel_size = 3, .padding = 1}), ReLU()}, {2, 3, 9, 7});
  expect_open(Sequential{Conv2d(16, 33, {.kernel_size = 3, .padding = 1}), ReLU()}, {2, 16, 6, 8});
}

TEST_P(SubnormalOutputs, OpenTheReluOfJoinedLayers) {
  for (const int channels : {1, 3, 7, 8, 17, 32}) {
    SCOPED_TRACE(channels);
    expect_open(Sequential{Conv2d(channels, channels, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2)},
                {3, channels, 8, 6});
  }
}

TEST_P(SubnormalOutputs, OpenAReluOfItsOwn) {
  const Tensor x = Tensor::from(std::vector<float>{1e-45F, -1e-45F, 1e-40F, -1e-40F, 0}, {1, 5}, device());
  Sequential net{ReLU()};
  net.to(device());
  net.set_input_grad(true);
  everywhere(device(), [&] {
    const std::vector<float> y = values(net(x)), dx = values(net.backward(full({1, 5}, 1e-40F)));
    EXPECT_EQ(y, (std::vector<float>{1e-45F, 0, 1e-40F, 0, 0}));
    EXPECT_EQ(dx, (std::vector<float>{1e-40F, 0, 1e-40F, 0, 0}));
    return dx;
  });
}

TEST_P(SubnormalOutputs, AreToldApartByAMaximum) {
  for (const int channels : {1, 5, 33}) {
    SCOPED_TRACE(channels);
    // The last but one of each window of 2 x 2 is the largest.
    std::vector<float> pixels;
    for (int c = 0; c < channels; ++c) pixels.insert(pixels.end(), {1e-45F, 3e-45F, 1e-42F, 0});
    const Tensor x = Tensor::from(pixels, {1, channels, 2, 2}, device());
    for (const int stride : {2, 1}) {
      Sequential net{MaxPool2d(2, stride)};
      net.to(device());
      net.set_input_grad(true);
      everywhere(device(), [&] {
        const std::vector<float> y = values(net(x)), dx = values(net.backward(full({1, channels, 1, 1}, 1)));
        EXPECT_EQ(std::ranges::count(y, 1e-42F), channels);
        for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_EQ(dx[i], i % 4 == 2 ? 1 : 0);
        return dx;
      });
    }
  }
}

}  // namespace
}  // namespace gpucnn
