#include <gpucnn/kernels/conv2d_few_channels.h>

#include <algorithm>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/cast.h>
#include <gpucnn/kernels/conv2d.h>

#include "close.h"
#include "device_test.h"
#include "reference/conv2d.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

struct Case {
  const char* name;
  reference::Conv2d sizes;
  bool bias = true;
};

const Case kCases[] = {
    {"first of SimpleCNN", {.N = 3, .C = 3, .H = 32, .W = 32, .K = 16, .kernel_size = 3, .padding = 1}},
    {"second of SimpleCNN", {.N = 5, .C = 16, .H = 16, .W = 16, .K = 32, .kernel_size = 3, .padding = 1}},
    {"one of everything", {.N = 1, .C = 1, .H = 1, .W = 1, .K = 1, .kernel_size = 1}},
    {"odd", {.N = 3, .C = 5, .H = 7, .W = 5, .K = 17, .kernel_size = 3, .padding = 1}},
    {"many images", {.N = 257, .C = 3, .H = 5, .W = 4, .K = 2, .kernel_size = 3, .padding = 1}},
    {"many tiles", {.N = 2, .C = 36, .H = 6, .W = 5, .K = 68, .kernel_size = 3, .padding = 1}},
    {"many odd tiles", {.N = 2, .C = 35, .H = 6, .W = 5, .K = 67, .kernel_size = 3, .padding = 1}},
    {"fours in small tiles", {.N = 2, .C = 4, .H = 9, .W = 9, .K = 12, .kernel_size = 3, .padding = 1}},
    {"stride", {.N = 2, .C = 3, .H = 31, .W = 33, .K = 4, .kernel_size = 3, .stride = 2, .padding = 1}},
    {"stride over the edge", {.N = 2, .C = 4, .H = 8, .W = 9, .K = 4, .kernel_size = 2, .stride = 3, .padding = 1}},
    {"oblong", {.N = 2, .C = 2, .H = 9, .W = 11, .K = 3, .kernel_size = {1, 5}, .stride = {2, 1}, .padding = {0, 2}}},
    {"all at once",
     {.N = 2, .C = 6, .H = 11, .W = 12, .K = 4, .kernel_size = {3, 2}, .stride = {2, 3}, .padding = {3, 4}, .dilation = {2, 3}}},
    {"taps outside", {.N = 2, .C = 4, .H = 2, .W = 2, .K = 4, .kernel_size = 5, .padding = 4}},
    {"pointwise", {.N = 3, .C = 33, .H = 5, .W = 5, .K = 31, .kernel_size = 1}},
    {"without bias", {.N = 3, .C = 4, .H = 6, .W = 6, .K = 8, .kernel_size = 3, .padding = 1}, false}};

/// For which each thread does more.
const Case kLargeCases[] = {
    {"many places", {.N = 64, .C = 4, .H = 64, .W = 65, .K = 12, .kernel_size = {1, 3}, .padding = {0, 1}}},
    {"many places and outputs", {.N = 32, .C = 4, .H = 64, .W = 65, .K = 20, .kernel_size = {1, 3}, .padding = {0, 1}}},
    {"many places and channels", {.N = 32, .C = 20, .H = 64, .W = 65, .K = 4, .kernel_size = {1, 3}, .padding = {0, 1}}}};

Conv2dOptions options_of(const Case& c) {
  return {.kernel_size = c.sizes.kernel_size,
          .stride = c.sizes.stride,
          .padding = c.sizes.padding,
          .dilation = c.sizes.dilation,
          .bias = c.bias};
}

class Conv2dFewChannelsTest : public DeviceTest {
 protected:
  /// The values, from element `first` of their memory on.
  Tensor placed(const std::vector<float>& values, const Shape& shape, DType dtype, std::int64_t first) {
    Tensor made = empty({shape.numel() + first}, dtype).view(first, shape);
    if (dtype == DType::f32) {
      made.copy_from(tensor(values, shape));
    } else {
      cast(tensor(values, shape), made, stream());
    }
    return made;
  }

  void expect_reference(const Case& test, DType dtype, std::int64_t first) {
    SCOPED_TRACE(std::string(test.name) + ", from element " + std::to_string(first));
    const reference::Conv2d& c = test.sizes;
    const Conv2dOptions options = options_of(test);
    std::vector<float> x = random_floats(c.x_numel(), 1), weight = random_floats(c.weight_numel(), 2),
                       bias = random_floats(test.bias ? c.K : 0, 3), dy = random_floats(c.y_numel(), 4);
    if (dtype == DType::bf16) {
      for (std::vector<float>* values : {&x, &weight, &bias, &dy}) {
        for (float& value : *values) value = to_float(to_bf16(value));
      }
    }
    const Shape x_shape{c.N, c.C, c.H, c.W}, y_shape = conv2d_shape(x_shape, c.C, c.K, options);
    const Tensor images = placed(x, x_shape, dtype, first),
                 weights = placed(weight, conv2d_weight_shape(c.C, c.K, options), dtype, first),
                 biases = test.bias ? placed(bias, {c.K}, dtype, first) : Tensor{};
    const Tolerance tolerance = dtype == DType::bf16 ? kBf16 : kSum;
    Tensor y = empty({y_shape.numel() + first}, dtype).view(first, y_shape);
    cuda::conv2d_few_channels(images, weights, biases, options, false, y, stream());
    std::vector<float> plain = values(y);
    expect_close(plain, reference::conv2d(c, widen(x), widen(weight), widen(bias)), tolerance);
    cuda::conv2d_few_channels(images, weights, biases, options, true, y, stream());
    for (float& value : plain) value = std::max(value, 0.0F);
    EXPECT_EQ(values(y), plain);

    if (options.stride != 1) return;
    Tensor dx = empty({x_shape.numel() + first}, dtype).view(first, x_shape);
    cuda::conv2d_few_channels_backward_data(placed(dy, y_shape, dtype, first), weights, options, dx, stream());
    expect_close(values(dx), reference::conv2d_backward(c, widen(x), widen(weight), widen(dy)).dx, tolerance);
  }

 private:
  std::vector<float> values(const Tensor& tensor) {
    if (tensor.dtype() == DType::f32) return tensor.to_vector<float>();
    Tensor wide = empty(tensor.shape());
    cast(tensor, wide, stream());
    return wide.to_vector<float>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dFewChannelsTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dFewChannelsTest, EqualsTheReference) {
  for (const Case& c : kCases) expect_reference(c, DType::f32, 0);
}

TEST_P(Conv2dFewChannelsTest, EqualsTheReferenceInManyPlaces) {
  for (const Case& c : kLargeCases) expect_reference(c, DType::f32, 0);
}

TEST_P(Conv2dFewChannelsTest, TakesViewsThatBeginAtAnyElement) {
  for (const Case& c : kCases) expect_reference(c, DType::f32, 1);
}

TEST_P(Conv2dFewChannelsTest, RoundsBf16Once) {
  for (const Case& c : kCases) {
    expect_reference(c, DType::bf16, 0);
    expect_reference(c, DType::bf16, 3);
  }
}

TEST_P(Conv2dFewChannelsTest, ReluKeepsNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Tensor y = empty({1, 1, 1, 3});
  cuda::conv2d_few_channels(tensor<float>({kNan, -1, 2}, {1, 1, 1, 3}), tensor<float>({1}, {1, 1, 1, 1}), {},
                            {.kernel_size = 1, .bias = false}, true, y, stream());
  expect_close(y.to_vector<float>(), reference::Values{kNan, 0, 2}, kSameValue);
}

}  // namespace
}  // namespace gpucnn::kernels
