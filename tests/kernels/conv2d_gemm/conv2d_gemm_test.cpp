#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/conv/conv2d_impl.h>

#include "close.h"
#include "everywhere.h"
#include "kernels/conv/conv2d_case.h"
#include "reference/activation.h"
#include "reference/conv2d.h"

// Implicit GEMM alone, whatever the library would choose for a shape.
namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const Conv2dCase kCases[] = {
    {"one of everything", {.N = 1, .C = 1, .H = 1, .W = 1, .K = 1, .kernel_size = 1}},
    {"5x5", {.N = 3, .C = 5, .H = 9, .W = 11, .K = 33, .kernel_size = 5, .padding = 2}},
    {"two vectors of outputs", {.N = 2, .C = 7, .H = 12, .W = 12, .K = 32, .kernel_size = 3, .padding = 1}},
    {"one vector of outputs", {.N = 2, .C = 3, .H = 20, .W = 17, .K = 16, .kernel_size = 3}},
    {"less than a vector", {.N = 5, .C = 1, .H = 14, .W = 14, .K = 6, .kernel_size = 5, .padding = 2}},
    {"points", {.N = 5, .C = 40, .H = 7, .W = 9, .K = 65, .kernel_size = 1}},
    {"points, stride", {.N = 3, .C = 17, .H = 9, .W = 8, .K = 20, .kernel_size = 1, .stride = 2}},
    {"points, padding", {.N = 2, .C = 9, .H = 4, .W = 5, .K = 8, .kernel_size = 1, .stride = {3, 2}, .padding = {4, 1}}},
    {"stride", {.N = 2, .C = 19, .H = 15, .W = 13, .K = 47, .kernel_size = 3, .stride = 2, .padding = 1}, false},
    {"stride beyond the window", {.N = 2, .C = 4, .H = 11, .W = 10, .K = 5, .kernel_size = 2, .stride = {3, 4}}},
    {"blocks of terms", {.N = 2, .C = 150, .H = 6, .W = 5, .K = 35, .kernel_size = 3, .padding = 1}},
    {"blocks of terms, many images", {.N = 40, .C = 40, .H = 6, .W = 5, .K = 20, .kernel_size = 3, .padding = 1}},
    {"several chunks a shard", {.N = 40, .C = 3, .H = 14, .W = 14, .K = 18, .kernel_size = 3, .padding = 1}},
    {"three vectors of outputs", {.N = 3, .C = 11, .H = 9, .W = 8, .K = 48, .kernel_size = 1}},
    {"four vectors of outputs", {.N = 3, .C = 32, .H = 9, .W = 9, .K = 64, .kernel_size = 1}},
    {"five vectors of outputs", {.N = 2, .C = 33, .H = 7, .W = 7, .K = 79, .kernel_size = 1}},
    {"nine vectors of outputs", {.N = 2, .C = 29, .H = 5, .W = 7, .K = 140, .kernel_size = 3, .padding = 1}},
    {"blocks of terms, three vectors of outputs", {.N = 1, .C = 70, .H = 6, .W = 5, .K = 41, .kernel_size = 3, .padding = 1}},
    {"few pixels, six vectors of outputs", {.N = 1, .C = 70, .H = 7, .W = 5, .K = 90, .kernel_size = 3, .stride = 2, .padding = 1}},
    {"a long run", {.N = 2, .C = 700, .H = 3, .W = 3, .K = 17, .kernel_size = 1}},
    {"bands of rows", {.N = 2, .C = 3, .H = 50, .W = 40, .K = 9, .kernel_size = 3, .padding = 1}},
    {"many images", {.N = 70, .C = 4, .H = 4, .W = 3, .K = 40, .kernel_size = 3, .padding = 1}},
    {"groups", {.N = 3, .C = 12, .H = 8, .W = 7, .K = 105, .kernel_size = 3, .padding = 1, .groups = 3}},
    {"groups without padding", {.N = 3, .C = 8, .H = 9, .W = 9, .K = 6, .kernel_size = 3, .stride = 2, .groups = 2}},
    {"dilation", {.N = 2, .C = 6, .H = 13, .W = 12, .K = 18, .kernel_size = 3, .padding = 2, .dilation = {2, 3}}},
    {"all at once",
     {.N = 2,
      .C = 6,
      .H = 17,
      .W = 19,
      .K = 8,
      .kernel_size = {4, 3},
      .stride = {2, 3},
      .padding = Sides{3, 1, 0, 4},
      .dilation = {3, 2},
      .groups = 2}},
    {"taps outside", {.N = 2, .C = 4, .H = 2, .W = 2, .K = 4, .kernel_size = 5, .padding = 4}}};

struct Results {
  std::vector<float> y, dx, dweight, dbias;

  std::vector<float> all() const {
    std::vector<float> values = y;
    for (const std::vector<float>* more : {&dx, &dweight, &dbias}) values.insert(values.end(), more->begin(), more->end());
    return values;
  }
};

/// Gradients of the parameters are added to `before` if it is not 0.
Results computed(const Conv2dCase& c, const Conv2dOperands& given, const Activation& epilogue = {}, float before = 0) {
  const Shape x_shape = c.x_shape(), y_shape = c.y_shape();
  const Tensor x = Tensor::from(given.x, x_shape), dy = Tensor::from(given.dy, y_shape);
  const Tensor weight = Tensor::from(given.weight, c.weight_shape());
  const Tensor bias = c.bias ? Tensor::from(given.bias, {c.sizes.K}) : Tensor{};
  Tensor y = Tensor::zeros(y_shape), dx = Tensor::full(x_shape, 7), dweight = Tensor::full(weight.shape(), before);
  Tensor dbias = c.bias ? Tensor::full(bias.shape(), before) : Tensor{};
  Stream stream;
  const auto conv = cpu::conv2d_gemm(x_shape, y_shape, c.options());
  conv->forward(x, weight, bias, epilogue, y, stream);
  conv->backward_data(dy, weight, dx, stream);
  conv->backward_weights(x, dy, {before != 0, before != 0}, dweight, dbias, stream);
  return {y.to_vector<float>(), dx.to_vector<float>(), dweight.to_vector<float>(),
          c.bias ? dbias.to_vector<float>() : std::vector<float>{}};
}

std::vector<float> checked(const Conv2dCase& c, const Conv2dOperands& given) {
  const Results results = computed(c, given);
  const auto gradients = reference::conv2d_backward(c.sizes, widen(given.x), widen(given.weight), widen(given.dy));
  expect_close(results.y, reference::conv2d(c.sizes, widen(given.x), widen(given.weight), widen(given.bias)), kSum);
  expect_close(results.dx, gradients.dx, kSum);
  expect_close(results.dweight, gradients.dweight, kSum);
  if (c.bias) expect_close(results.dbias, gradients.dbias, kSum);
  return results.all();
}

TEST(Conv2dGemm, EqualsTheReference) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    const Conv2dOperands given(c);
    everywhere(Device::cpu(), [&] { return checked(c, given); });
  }
}

TEST(Conv2dGemm, DataGradientsTakeTheReluBefore) {
  int strided = 0;
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    const Conv2dOperands given(c);
    std::vector<float> made = given.x;
    for (float& value : made) value = value < 0 ? 0 : value;
    made.back() = std::numeric_limits<float>::quiet_NaN();  // lets its gradient pass
    everywhere(Device::cpu(), [&] {
      const auto conv = cpu::conv2d_gemm(c.x_shape(), c.y_shape(), c.options());
      Tensor dx = Tensor::full(c.x_shape(), 7);
      Stream stream;
      const Conv2dBefore before{Tensor::from(made, c.x_shape()), {.kind = Activation::relu}, {}};
      const bool taken = conv->backward_data_before(Tensor::from(given.dy, c.y_shape()),
                                                    Tensor::from(given.weight, c.weight_shape()), before, dx, stream);
      std::vector<float> expected(made.size(), 7);
      if (taken) {
        expected = computed(c, given).dx;
        for (std::size_t i = 0; i < made.size(); ++i) expected[i] = made[i] <= 0 ? 0 : expected[i];
      }
      EXPECT_EQ(dx.to_vector<float>(), expected);
      strided += taken && c.sizes.stride.height > 1;
      return expected;
    });
  }
  EXPECT_GT(strided, 0);
}

TEST(Conv2dGemm, MakesNanOfPaddingAndWhatIsNotFinite) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    for (std::vector<float> Conv2dOperands::*spoilt : {&Conv2dOperands::weight, &Conv2dOperands::dy, &Conv2dOperands::x}) {
      Conv2dOperands given(c);
      (given.*spoilt).front() = std::numeric_limits<float>::infinity();
      (given.*spoilt).back() = std::numeric_limits<float>::quiet_NaN();
      (void)checked(c, given);
    }
  }
}

TEST(Conv2dGemm, AppliesTheEpilogueToEveryOutputOnce) {
  const Activation relu{.kind = Activation::relu}, leaky{.kind = Activation::leaky_relu, .negative_slope = 0.25F};
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    const Conv2dOperands given(c);
    for (const std::int64_t target : ForcedInstructionSet::all()) {
      const ForcedInstructionSet forced(target);
      const std::vector<float> plain = computed(c, given).y;
      for (const Activation& epilogue : {relu, leaky}) {
        const float slope = epilogue.kind == Activation::relu ? 0 : 0.25F;
        std::vector<float> expected = plain;
        for (float& value : expected) value = value > 0 ? value : slope * value;
        EXPECT_EQ(computed(c, given, epilogue).y, expected);
      }
    }
  }
}

TEST(Conv2dGemm, KeepsNanInReluAlone) {
  const Conv2dCase c{"points", {.N = 2, .C = 5, .H = 3, .W = 7, .K = 70, .kernel_size = 1}};
  Conv2dOperands given(c);
  given.bias[3] = std::numeric_limits<float>::quiet_NaN();
  given.bias[69] = -std::numeric_limits<float>::infinity();
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    const ForcedInstructionSet forced(target);
    const std::vector<float> y = computed(c, given, {.kind = Activation::relu}).y;
    for (std::size_t pixel = 0; pixel < 42; ++pixel) {
      const std::size_t image = pixel / 21 * 70 * 21, at = pixel % 21;
      EXPECT_TRUE(std::isnan(y[image + 3 * 21 + at]));
      EXPECT_EQ(y[image + 69 * 21 + at], 0);
      EXPECT_GE(y[image + 4 * 21 + at], 0);
    }
  }
}

TEST(Conv2dGemm, AddsToGradientsWhereAsked) {
  const Conv2dOperands given(kCases[1]);
  const Results fresh = computed(kCases[1], given), added = computed(kCases[1], given, {}, 2);
  for (std::size_t i = 0; i < fresh.dweight.size(); ++i) ASSERT_FLOAT_EQ(added.dweight[i], fresh.dweight[i] + 2) << i;
  for (std::size_t i = 0; i < fresh.dbias.size(); ++i) ASSERT_FLOAT_EQ(added.dbias[i], fresh.dbias[i] + 2) << i;
}

TEST(Conv2dGemm, OfAnImageDoesNotDependOnTheOthers) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Conv2dCase one = c;
    one.sizes.N = 1;
    Conv2dOperands given(c);
    const Results all = computed(c, given);
    given.x.resize(static_cast<std::size_t>(one.sizes.x_numel()));
    given.dy.resize(static_cast<std::size_t>(one.sizes.y_numel()));
    const Results alone = computed(one, given);
    EXPECT_TRUE(std::equal(alone.y.begin(), alone.y.end(), all.y.begin()));
    EXPECT_TRUE(std::equal(alone.dx.begin(), alone.dx.end(), all.dx.begin()));
  }
}

TEST(Conv2dGemm, SeesThatWeightsHaveChanged) {
  const Conv2dCase& c = kCases[1];
  Conv2dOperands given(c);
  const Shape x_shape = c.x_shape(), y_shape = c.y_shape(), weight_shape = c.weight_shape();
  const Tensor x = Tensor::from(given.x, x_shape), bias = Tensor::from(given.bias, {c.sizes.K});
  Tensor weight = Tensor::from(given.weight, weight_shape), y = Tensor::zeros(y_shape);
  Stream stream;
  const auto conv = cpu::conv2d_gemm(x_shape, y_shape, c.options());
  conv->forward(x, weight, bias, {}, y, stream);
  given.weight[7] = 5;
  weight.copy_from(Tensor::from(given.weight, weight_shape));
  conv->forward(x, weight, bias, {}, y, stream);
  EXPECT_EQ(y.to_vector<float>(), computed(c, given).y);
}

TEST(Conv2dGemm, OfWindowsFarApartNeedsNoPaddedImage) {
  // Its padded images would have 2^36 pixels.
  const Conv2dCase c{"mostly padding",
                     {.N = 1, .C = 2, .H = 3, .W = 2, .K = 3, .kernel_size = 2, .stride = 1 << 17, .padding = 1 << 17}};
  (void)checked(c, Conv2dOperands(c));
}

}  // namespace
}  // namespace gpucnn::kernels
