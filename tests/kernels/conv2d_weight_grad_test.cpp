#include <gpucnn/kernels/conv2d_weight_grad.h>

#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/cast.h>

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

Conv2dOptions options_of(const Case& c) {
  return {.kernel_size = c.sizes.kernel_size,
          .stride = c.sizes.stride,
          .padding = c.sizes.padding,
          .dilation = c.sizes.dilation,
          .bias = c.bias};
}

class Conv2dWeightGradTest : public DeviceTest {
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
    std::vector<float> x = random_floats(c.x_numel(), 1), dy = random_floats(c.y_numel(), 2);
    if (dtype == DType::bf16) {
      for (float& value : x) value = to_float(to_bf16(value));
      for (float& value : dy) value = to_float(to_bf16(value));
    }
    const Shape x_shape{c.N, c.C, c.H, c.W}, weight_shape = conv2d_weight_shape(c.C, c.K, options);
    const Tensor images = placed(x, x_shape, dtype, first),
                 gradient = placed(dy, conv2d_shape(x_shape, c.C, c.K, options), dtype, first);
    Tensor dweight = empty({weight_shape.numel() + first}).view(first, weight_shape), dbias = test.bias ? empty({c.K}) : Tensor{};
    cuda::conv2d_weight_grad(images, gradient, options, {}, dweight, dbias, stream());
    const std::vector<float> once = dweight.to_vector<float>();
    const auto expected =
        reference::conv2d_backward(c, widen(x), reference::Values(static_cast<std::size_t>(c.weight_numel())), widen(dy));
    expect_close(once, expected.dweight, kSum);
    if (test.bias) expect_close(dbias.to_vector<float>(), expected.dbias, kSum);

    cuda::conv2d_weight_grad(images, gradient, options, {.dweight = true}, dweight, dbias, stream());
    reference::Values twice = widen(once);
    for (double& value : twice) value *= 2;
    expect_close(dweight.to_vector<float>(), twice, kSameValue);
    if (!test.bias) return;
    const std::vector<float> bias = dbias.to_vector<float>();
    cuda::conv2d_weight_grad(images, gradient, options, {.dbias = true}, dweight, dbias, stream());
    EXPECT_EQ(dweight.to_vector<float>(), once);
    twice = widen(bias);
    for (double& value : twice) value *= 2;
    expect_close(dbias.to_vector<float>(), twice, kSameValue);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dWeightGradTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dWeightGradTest, EqualsTheReference) {
  for (const Case& c : kCases) expect_reference(c, DType::f32, 0);
}

TEST_P(Conv2dWeightGradTest, TakesViewsThatBeginAtAnyElement) {
  for (const Case& c : kCases) expect_reference(c, DType::f32, 1);
}

TEST_P(Conv2dWeightGradTest, AddsBf16InF32) {
  for (const Case& c : kCases) {
    expect_reference(c, DType::bf16, 0);
    expect_reference(c, DType::bf16, 3);
  }
}

TEST_P(Conv2dWeightGradTest, PassesNanOn) {
  const Conv2dOptions options{.kernel_size = 1};
  Tensor dweight = empty({1, 1, 1, 1}), dbias = empty({1});
  const Tensor one = tensor<float>({1, 1, 1}, {1, 1, 1, 3});
  const Tensor bad = tensor<float>({0, std::numeric_limits<float>::quiet_NaN(), 0}, {1, 1, 1, 3});
  cuda::conv2d_weight_grad(bad, one, options, {}, dweight, dbias, stream());
  EXPECT_TRUE(std::isnan(dweight.to_vector<float>()[0]));
  EXPECT_EQ(dbias.to_vector<float>()[0], 3);
  cuda::conv2d_weight_grad(one, bad, options, {}, dweight, dbias, stream());
  EXPECT_TRUE(std::isnan(dweight.to_vector<float>()[0]));
  EXPECT_TRUE(std::isnan(dbias.to_vector<float>()[0]));
}

}  // namespace
}  // namespace gpucnn::kernels
