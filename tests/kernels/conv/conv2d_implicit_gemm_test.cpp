#include <gpucnn/kernels/conv/conv2d_implicit_gemm.h>

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "conv2d_cases.h"

namespace gpucnn::kernels {
namespace {

using reference::widen;

/// For which each thread does more; the last tile is not full.
const Conv2dCase kLargeCases[] = {
    {"many pixels", {.N = 32, .C = 4, .H = 63, .W = 67, .K = 12, .kernel_size = {1, 3}, .padding = {0, 1}}},
    {"many pixels and outputs", {.N = 16, .C = 4, .H = 63, .W = 67, .K = 20, .kernel_size = {1, 3}, .padding = {0, 1}}},
    {"many pixels and channels", {.N = 16, .C = 20, .H = 63, .W = 67, .K = 4, .kernel_size = {1, 3}, .padding = {0, 1}}}};

class Conv2dImplicitGemmTest : public Conv2dKernelTest {
 protected:
  void expect_reference(const Conv2dCase& test, DType dtype, std::int64_t first) {
    SCOPED_TRACE(std::string(test.name) + ", from element " + std::to_string(first));
    const reference::Conv2d& c = test.sizes;
    const Conv2dOptions options = test.options();
    const std::vector<float> x = numbers(c.x_numel(), 1, dtype), weight = numbers(c.weight_numel(), 2, dtype),
                             bias = numbers(test.bias ? c.K : 0, 3, dtype), dy = numbers(c.y_numel(), 4, dtype);
    const Tensor images = placed(x, test.x_shape(), dtype, first), weights = placed(weight, test.weight_shape(), dtype, first),
                 biases = test.bias ? placed(bias, {c.K}, dtype, first) : Tensor{};
    const Tolerance tolerance = dtype == DType::bf16 ? kBf16 : kSum;
    Tensor y = room(test.y_shape(), dtype, first);
    cuda::conv2d_implicit_gemm(images, weights, biases, options, {}, y, stream());
    std::vector<float> plain = values(y);
    expect_close(plain, reference::conv2d(c, widen(x), widen(weight), widen(bias)), tolerance);
    cuda::conv2d_implicit_gemm(images, weights, biases, options, {Activation::relu}, y, stream());
    for (float& value : plain) value = std::max(value, 0.0F);
    EXPECT_EQ(values(y), plain);

    if (options.stride != 1) return;
    Tensor dx = room(test.x_shape(), dtype, first);
    cuda::conv2d_implicit_gemm_backward_data(placed(dy, test.y_shape(), dtype, first), weights, options, dx, stream());
    expect_close(values(dx), reference::conv2d_backward(c, widen(x), widen(weight), widen(dy)).dx, tolerance);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dImplicitGemmTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dImplicitGemmTest, EqualsTheReference) {
  for (const Conv2dCase& c : kConv2dCases) expect_reference(c, DType::f32, 0);
}

TEST_P(Conv2dImplicitGemmTest, EqualsTheReferenceInManyPlaces) {
  for (const Conv2dCase& c : kLargeCases) expect_reference(c, DType::f32, 0);
}

TEST_P(Conv2dImplicitGemmTest, TakesViewsThatBeginAtAnyElement) {
  for (const Conv2dCase& c : kConv2dCases) expect_reference(c, DType::f32, 1);
}

TEST_P(Conv2dImplicitGemmTest, RoundsBf16Once) {
  for (const Conv2dCase& c : kConv2dCases) {
    expect_reference(c, DType::bf16, 0);
    expect_reference(c, DType::bf16, 3);
  }
}

TEST_P(Conv2dImplicitGemmTest, MakesNanOfThePaddingWhereAWeightIsNotFinite) {
  for (const Conv2dCase& test : kConv2dCases) {
    SCOPED_TRACE(test.name);
    const reference::Conv2d& c = test.sizes;
    const std::vector<float> x = numbers(c.x_numel(), 1, DType::f32), bias = numbers(test.bias ? c.K : 0, 3, DType::f32);
    for (const float value : kNotNumbers) {
      std::vector<float> weight = numbers(c.weight_numel(), 2, DType::f32);
      weight.front() = weight.back() = value;
      Tensor y = empty(test.y_shape());
      cuda::conv2d_implicit_gemm(tensor(x, test.x_shape()), tensor(weight, test.weight_shape()),
                                 test.bias ? tensor(bias) : Tensor{}, test.options(), {}, y, stream());
      expect_close(values(y), reference::conv2d(c, widen(x), widen(weight), widen(bias)), kSum);
    }
  }
}

TEST_P(Conv2dImplicitGemmTest, ReluKeepsNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Tensor y = empty({1, 1, 1, 3});
  cuda::conv2d_implicit_gemm(tensor<float>({kNan, -1, 2}, {1, 1, 1, 3}), tensor<float>({1}, {1, 1, 1, 1}), {},
                             {.kernel_size = 1, .bias = false}, {Activation::relu}, y, stream());
  expect_close(y.to_vector<float>(), reference::Values{kNan, 0, 2}, kSameValue);
}

TEST(Conv2dCountsInInt, RefusesWhatPasses32Bits) {
  const Conv2dOptions plain{.kernel_size = 1};
  const auto counts = [](const Shape& x, const Shape& y, const Conv2dOptions& options) {
    return cuda::conv2d_counts_in_int(x, {1, 1, 1, 1}, y, options);
  };
  EXPECT_TRUE(counts({128, 16, 512, 512}, {128, 1, 512, 512}, plain));
  EXPECT_FALSE(counts({512, 16, 512, 512}, {512, 1, 512, 512}, plain));
  EXPECT_FALSE(counts({1, 1, 46340, 46341}, {1, 1, 46340, 46341}, plain));
  EXPECT_FALSE(counts({1, 1, 1, 1 << 28}, {1, 1, 1, 1 << 28}, plain));
  EXPECT_FALSE(counts({1, 1, 1, 1}, {1, 1, 1, 1}, {.kernel_size = {3, 1}, .padding = {1 << 29, 0}, .dilation = {1 << 29, 1}}));
}

}  // namespace
}  // namespace gpucnn::kernels
