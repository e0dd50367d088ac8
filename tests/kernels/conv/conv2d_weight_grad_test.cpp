#include <gpucnn/kernels/conv/conv2d_weight_grad.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "conv2d_cases.h"

namespace gpucnn::kernels {
namespace {

using reference::Values;
using reference::widen;

Values doubled(const std::vector<float>& values) {
  Values twice = widen(values);
  for (double& value : twice) value *= 2;
  return twice;
}

class Conv2dWeightGradTest : public Conv2dKernelTest {
 protected:
  void expect_reference(const Conv2dCase& test, DType dtype, std::int64_t first) {
    SCOPED_TRACE(std::string(test.name) + ", from element " + std::to_string(first));
    const reference::Conv2d& c = test.sizes;
    const Conv2dOptions options = test.options();
    const std::vector<float> x = numbers(c.x_numel(), 1, dtype), dy = numbers(c.y_numel(), 2, dtype);
    const Tensor images = placed(x, test.x_shape(), dtype, first), gradient = placed(dy, test.y_shape(), dtype, first);
    Tensor dweight = room(test.weight_shape(), DType::f32, first), dbias = test.bias ? empty({c.K}) : Tensor{};
    cuda::conv2d_weight_grad(images, gradient, options, {}, dweight, dbias, stream());
    const std::vector<float> weight_once = dweight.to_vector<float>();
    const Values no_weight(static_cast<std::size_t>(c.weight_numel()));
    const auto expected = reference::conv2d_backward(c, widen(x), no_weight, widen(dy));
    expect_close(weight_once, expected.dweight, kSum);
    if (test.bias) expect_close(dbias.to_vector<float>(), expected.dbias, kSum);

    cuda::conv2d_weight_grad(images, gradient, options, {.dweight = true}, dweight, dbias, stream());
    expect_close(dweight.to_vector<float>(), doubled(weight_once), kSameValue);
    if (!test.bias) return;
    const std::vector<float> bias_once = dbias.to_vector<float>();
    cuda::conv2d_weight_grad(images, gradient, options, {.dbias = true}, dweight, dbias, stream());
    EXPECT_EQ(dweight.to_vector<float>(), weight_once);
    expect_close(dbias.to_vector<float>(), doubled(bias_once), kSameValue);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dWeightGradTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dWeightGradTest, EqualsTheReference) {
  for (const Conv2dCase& c : kConv2dCases) expect_reference(c, DType::f32, 0);
}

TEST_P(Conv2dWeightGradTest, EqualsTheReferenceInManySlices) {
  expect_reference({"slices", {.N = 80, .C = 1, .H = 32, .W = 31, .K = 1, .kernel_size = 1}}, DType::f32, 0);
}

TEST_P(Conv2dWeightGradTest, TakesViewsThatBeginAtAnyElement) {
  for (const Conv2dCase& c : kConv2dCases) expect_reference(c, DType::f32, 1);
}

TEST_P(Conv2dWeightGradTest, AddsBf16InF32) {
  for (const Conv2dCase& c : kConv2dCases) {
    expect_reference(c, DType::bf16, 0);
    expect_reference(c, DType::bf16, 3);
  }
}

TEST_P(Conv2dWeightGradTest, MakesNanOfThePaddingWhereAGradientIsNotFinite) {
  for (const Conv2dCase& test : kConv2dCases) {
    SCOPED_TRACE(test.name);
    const reference::Conv2d& c = test.sizes;
    const std::vector<float> x = numbers(c.x_numel(), 1, DType::f32);
    for (const float value : kNotNumbers) {
      std::vector<float> dy = numbers(c.y_numel(), 2, DType::f32);
      dy.front() = value;
      Tensor dweight = empty(test.weight_shape()), dbias = test.bias ? empty({c.K}) : Tensor{};
      cuda::conv2d_weight_grad(tensor(x, test.x_shape()), tensor(dy, test.y_shape()), test.options(), {}, dweight, dbias, stream());
      const Values no_weight(static_cast<std::size_t>(c.weight_numel()));
      expect_close(dweight.to_vector<float>(), reference::conv2d_backward(c, widen(x), no_weight, widen(dy)).dweight, kSum);
    }
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
