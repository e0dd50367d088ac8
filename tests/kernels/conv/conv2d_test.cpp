#include <gpucnn/kernels/conv/conv2d.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "conv2d_case.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "pretended_bf16.h"
#include "reference/activation.h"
#include "reference/conv2d.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const Conv2dCase kCases[] = {
    {"first of SimpleCNN", {.N = 5, .C = 3, .H = 32, .W = 32, .K = 16, .kernel_size = 3, .padding = 1}},
    {"second of SimpleCNN", {.N = 3, .C = 16, .H = 16, .W = 16, .K = 32, .kernel_size = 3, .padding = 1}},
    {"one image, one channel", {.N = 1, .C = 1, .H = 7, .W = 5, .K = 1, .kernel_size = 3}},
    {"odd channels", {.N = 3, .C = 5, .H = 7, .W = 5, .K = 17, .kernel_size = 3, .padding = 1}},
    {"many images", {.N = 257, .C = 3, .H = 5, .W = 4, .K = 2, .kernel_size = 3, .padding = 1}},
    {"stride", {.N = 2, .C = 3, .H = 31, .W = 33, .K = 4, .kernel_size = 3, .stride = 2, .padding = 1}},
    {"oblong", {.N = 2, .C = 2, .H = 9, .W = 11, .K = 3, .kernel_size = {1, 5}, .stride = {2, 1}, .padding = {0, 2}}},
    {"dilation", {.N = 2, .C = 3, .H = 11, .W = 9, .K = 4, .kernel_size = 3, .padding = 2, .dilation = 2}},
    {"groups", {.N = 3, .C = 6, .H = 8, .W = 8, .K = 4, .kernel_size = 3, .padding = 1, .groups = 2}},
    {"depthwise", {.N = 3, .C = 8, .H = 8, .W = 8, .K = 8, .kernel_size = 3, .padding = 1, .groups = 8}},
    {"many pairs of channels", {.N = 2, .C = 33, .H = 6, .W = 5, .K = 32, .kernel_size = 3, .padding = 1}},
    {"pointwise", {.N = 3, .C = 33, .H = 5, .W = 5, .K = 31, .kernel_size = 1}},
    {"pointwise, stride", {.N = 9, .C = 3, .H = 20, .W = 33, .K = 2, .kernel_size = 1, .stride = 2}},
    {"pointwise, oblong stride", {.N = 17, .C = 5, .H = 6, .W = 12, .K = 11, .kernel_size = 1, .stride = {1, 4}}},
    {"pointwise, padding", {.N = 3, .C = 9, .H = 4, .W = 5, .K = 8, .kernel_size = 1, .padding = {1, 3}, .dilation = 2}},
    {"pointwise, stride and padding",
     {.N = 10, .C = 17, .H = 5, .W = 6, .K = 7, .kernel_size = 1, .stride = {3, 2}, .padding = {4, 1}}},
    {"pointwise, padding that hides columns",
     {.N = 2, .C = 3, .H = 3, .W = 1, .K = 4, .kernel_size = 1, .stride = {1, 4}, .padding = {0, 2}}},
    {"pointwise, groups", {.N = 3, .C = 12, .H = 7, .W = 8, .K = 6, .kernel_size = 1, .stride = 2, .groups = 3}},
    {"windows of padding", {.N = 2, .C = 3, .H = 3, .W = 4, .K = 5, .kernel_size = 2, .stride = {1, 2}, .padding = {4, 3}}, false},
    {"padding between taps",
     {.N = 1, .C = 2, .H = 2, .W = 9, .K = 3, .kernel_size = {2, 1}, .padding = {2, 0}, .dilation = 4},
     false},
    {"no window without padding", {.N = 2, .C = 4, .H = 4, .W = 3, .K = 3, .kernel_size = 5, .padding = 2}},
    {"sides", {.N = 2, .C = 4, .H = 6, .W = 7, .K = 5, .kernel_size = 3, .padding = Sides{0, 2, 3, 1}}},
    {"sides, stride",
     {.N = 2, .C = 3, .H = 6, .W = 6, .K = 4, .kernel_size = 3, .stride = 2, .padding = Sides{.bottom = 1, .right = 1}}},
    {"sides, depthwise",
     {.N = 3, .C = 8, .H = 5, .W = 6, .K = 8, .kernel_size = {2, 3}, .padding = Sides{1, 0, 0, 2}, .dilation = 2, .groups = 8}},
    {"sides, pointwise", {.N = 3, .C = 9, .H = 4, .W = 5, .K = 8, .kernel_size = 1, .stride = 2, .padding = Sides{1, 0, 2, 3}}},
    {"without bias", {.N = 3, .C = 4, .H = 6, .W = 6, .K = 5, .kernel_size = 3, .padding = 1}, false}};

/// `count` numbers that have the precision's dtype exactly.
std::vector<float> numbers(std::int64_t count, unsigned seed, Precision precision) {
  std::vector<float> made = random_floats(count, seed);
  if (precision == Precision::bf16)
    std::ranges::transform(made, made.begin(), [](float value) { return to_float(to_bf16(value)); });
  return made;
}

/// Zeros that begin at element `first` of their memory.
Tensor placed(const Shape& shape, DType dtype, Device device, std::int64_t first) {
  return Tensor::zeros({shape.numel() + first}, dtype, device).view(first, shape);
}

std::vector<float> values(const Tensor& tensor, Stream& stream) {
  if (tensor.dtype() == DType::f32) return tensor.to_vector<float>();
  Tensor wide = Tensor::empty(tensor.shape(), DType::f32, tensor.device());
  cast(tensor, wide, stream);
  return wide.to_vector<float>();
}

/// The tensors of one convolution, filled from fixed seeds, each of which begins at element `first` of its memory.
struct Problem {
  Problem(const Conv2dCase& c, Device on, std::int64_t at = 0, Precision precision = Precision::fp32)
      : device(on),
        first(at),
        dtype(activation_dtype(precision, on)),
        x_values(numbers(c.sizes.x_numel(), 1, precision)),
        weight_values(numbers(c.sizes.weight_numel(), 2, precision)),
        bias_values(numbers(c.bias ? c.sizes.K : 0, 3, precision)),
        dy_values(numbers(c.sizes.y_numel(), 4, precision)),
        stream(device),
        x(filled(x_values, c.x_shape())),
        weight(filled(weight_values, c.weight_shape())),
        bias(c.bias ? filled(bias_values, {c.sizes.K}) : Tensor{}),
        plan(x.shape(), c.sizes.K, c.options(), device, precision),
        dy(filled(dy_values, plan.y_shape())),
        y(placed(plan.y_shape(), dtype, device, first)),
        dx(placed(x.shape(), dtype, device, first)),
        dweight(placed(weight.shape(), DType::f32, device, first)),
        dbias(c.bias ? placed(bias.shape(), DType::f32, device, first) : Tensor{}) {}

  Tensor filled(const std::vector<float>& data, const Shape& shape) {
    const Tensor wide = Tensor::from(data, shape, device);
    Tensor made = placed(shape, dtype, device, first);
    if (dtype == DType::f32) {
      made.copy_from(wide);
    } else {
      cast(wide, made, stream);
    }
    return made;
  }

  void run() {
    plan.forward(x, weight, bias, {}, y, stream);
    plan.backward_data(dy, weight, dx, stream);
    plan.backward_weights(x, dy, {}, dweight, dbias, stream);
  }

  /// All results, one after the other.
  std::vector<float> results() {
    std::vector<float> all;
    for (const Tensor& tensor : {y, dx, dweight, dbias}) {
      if (!tensor.defined()) continue;
      const std::vector<float> its = values(tensor, stream);
      all.insert(all.end(), its.begin(), its.end());
    }
    return all;
  }

  void expect_reference(const Conv2dCase& c, Tolerance tolerance) {
    const auto wide_x = widen(x_values), wide_weight = widen(weight_values);
    expect_close(values(y, stream), reference::conv2d(c.sizes, wide_x, wide_weight, widen(bias_values)), tolerance);
    const auto gradients = reference::conv2d_backward(c.sizes, wide_x, wide_weight, widen(dy_values));
    expect_close(values(dx, stream), gradients.dx, tolerance);
    expect_close(values(dweight, stream), gradients.dweight, tolerance);
    if (c.bias) expect_close(values(dbias, stream), gradients.dbias, kSum);
  }

  Device device;
  std::int64_t first;
  DType dtype;
  std::vector<float> x_values, weight_values, bias_values, dy_values;
  Stream stream;
  Tensor x, weight, bias;
  Conv2dPlan plan;
  Tensor dy, y, dx, dweight, dbias;
};

class Conv2dTest : public DeviceTest {
 protected:
  void expect_precision(Precision precision, Tolerance tolerance) {
    const PretendedBf16 there;
    try {
      require_precision(precision, device());
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
    for (const Conv2dCase& c : kCases) {
      for (const std::int64_t first : {0, 1}) {
        SCOPED_TRACE(std::string(c.name) + ", from element " + std::to_string(first));
        everywhere(device(), [&] {
          Problem problem(c, device(), first, precision);
          problem.run();
          problem.expect_reference(c, tolerance);
          return problem.results();
        });
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dTest, devices(), device_name);

TEST_P(Conv2dTest, EqualsTheReference) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Problem problem(c, device());
    problem.run();
    problem.expect_reference(c, products_on(device()));
  }
}

TEST_P(Conv2dTest, TakesViewsThatBeginAtAnyElement) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Problem problem(c, device(), 1);
    problem.run();
    problem.expect_reference(c, products_on(device()));
  }
}

TEST_P(Conv2dTest, InTf32KeepsTenBitsOfEachFactor) { expect_precision(Precision::tf32, kTf32); }

TEST_P(Conv2dTest, InBf16RoundsOnlyItsResults) { expect_precision(Precision::bf16, device() == Device::cpu() ? kSum : kBf16); }

TEST_P(Conv2dTest, AppliesAnEpilogueAsTheActivationDoes) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Problem problem(c, device());
    problem.plan.forward(problem.x, problem.weight, problem.bias, {}, problem.y, problem.stream);
    const Tensor y = problem.y.clone();
    for (const auto& each : reference::kActivations) {
      SCOPED_TRACE(each.name);
      Tensor expected = Tensor::empty(y.shape(), y.dtype(), device());
      activation(y, each.function, expected, problem.stream);
      problem.plan.forward(problem.x, problem.weight, problem.bias, each.function, problem.y, problem.stream);
      EXPECT_EQ(problem.y.to_vector<float>(), expected.to_vector<float>());
    }
  }
}

TEST_P(Conv2dTest, AddsASumBeforeItsActivation) {
  int takers = 0;
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Problem problem(c, device());
    problem.run();
    Tensor expected = Tensor::empty(problem.y.shape(), problem.y.dtype(), device());
    add(problem.y, problem.dy, expected, problem.stream);
    activation(expected, {Activation::relu}, expected, problem.stream);
    const Tensor before = problem.y.clone();
    const bool served = problem.plan.forward_sum(problem.x, problem.weight, problem.bias, {problem.dy, {Activation::relu}},
                                                 problem.y, problem.stream);
    EXPECT_EQ(problem.y.to_vector<float>(), (served ? expected : before).to_vector<float>());
    EXPECT_EQ(served, problem.plan.takes_sum());
    takers += served ? 1 : 0;
  }
  EXPECT_EQ(takers > 0, device().kind == Device::Kind::cpu);
}

TEST_P(Conv2dTest, DataGradientsTakeWhatStandsBefore) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Problem problem(c, device());
    problem.run();
    const Tensor plain = problem.dx.clone();
    for (const bool adds : {false, true}) {
      for (const auto& each : reference::kActivations) {
        if (!activation_backward_reads_y(each.function)) continue;
        SCOPED_TRACE(each.name);
        Tensor expected = plain.clone();
        if (adds) add(plain, problem.x, expected, problem.stream);
        if (each.function.kind != Activation::none) {
          activation_backward(problem.x, each.function, expected, expected, problem.stream);
        }
        problem.plan.backward_data(problem.dy, problem.weight, {problem.x, each.function, adds ? problem.x : Tensor{}}, problem.dx,
                                   problem.stream);
        EXPECT_EQ(problem.dx.to_vector<float>(), expected.to_vector<float>());
      }
    }
  }
}

TEST_P(Conv2dTest, AddsToGradientsWhereAsked) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    Problem problem(c, device());
    problem.run();
    std::vector<double> dweight = widen(problem.dweight.to_vector<float>()), dbias;
    if (c.bias) dbias = widen(problem.dbias.to_vector<float>());
    problem.plan.backward_weights(problem.x, problem.dy, {.dweight = true}, problem.dweight, problem.dbias, problem.stream);
    for (double& value : dweight) value *= 2;
    expect_close(problem.dweight.to_vector<float>(), dweight, kSameValue);
    if (!c.bias) continue;
    expect_close(problem.dbias.to_vector<float>(), dbias, kSameValue);
    problem.plan.backward_weights(problem.x, problem.dy, {.dbias = true}, problem.dweight, problem.dbias, problem.stream);
    for (double& value : dweight) value /= 2;
    for (double& value : dbias) value *= 2;
    expect_close(problem.dweight.to_vector<float>(), dweight, kSameValue);
    expect_close(problem.dbias.to_vector<float>(), dbias, kPointwise);
  }
}

TEST_P(Conv2dTest, GivesTheSameBitsEveryTimeOnAnyNumberOfThreads) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 5}) {
      const ForcedThreads forced(threads);
      Problem problem(c, device());
      problem.run();
      results.push_back(problem.results());
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

TEST_P(Conv2dTest, GivesValuesWorkedByHand) {
  // The mean over a 2x2 window of 1..9, plus 1/2.
  const Tensor x = tensor<float>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  Conv2dPlan plan(x.shape(), 1, {.kernel_size = 2}, device());
  Tensor y = empty({1, 1, 2, 2});
  plan.forward(x, Tensor::full({1, 1, 2, 2}, 0.25F, device()), Tensor::full({1}, 0.5F, device()), {}, y, stream());
  EXPECT_THAT(y.to_vector<float>(), testing::ElementsAre(3.5F, 4.5F, 6.5F, 7.5F));
}

TEST_P(Conv2dTest, KeepsNanThroughRelu) {
  const Tensor x = tensor<float>({std::numeric_limits<float>::quiet_NaN(), -1}, {1, 1, 1, 2});
  Conv2dPlan plan(x.shape(), 1, {.kernel_size = 1}, device());
  Tensor y = empty(x.shape());
  plan.forward(x, Tensor::full({1, 1, 1, 1}, 1, device()), tensor({0.5F}), {Activation::relu}, y, stream());
  const std::vector<float> values = y.to_vector<float>();
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], 0.0F);
}

TEST_P(Conv2dTest, OfNoImagesHasZeroGradients) {
  const Shape x{0, 3, 8, 8};
  Conv2dPlan plan(x, 4, {.kernel_size = 3}, device());
  EXPECT_EQ(plan.y_shape(), (Shape{0, 4, 6, 6}));
  Tensor dweight = Tensor::full({4, 3, 3, 3}, 7, device()), dbias = Tensor::full({4}, 7, device());
  plan.backward_weights(empty(x), empty(plan.y_shape()), {.dweight = false, .dbias = true}, dweight, dbias, stream());
  EXPECT_THAT(dweight.to_vector<float>(), testing::Each(0.0F));
  EXPECT_THAT(dbias.to_vector<float>(), testing::Each(7.0F));
}

TEST_P(Conv2dTest, RefusesTensorsOfOtherShapesThanItsPlan) {
  Problem problem({"", {.N = 2, .C = 3, .H = 8, .W = 8, .K = 4, .kernel_size = 3}}, device());
  EXPECT_THAT([&] { problem.plan.forward(problem.dy, problem.weight, problem.bias, {}, problem.y, problem.stream); },
              misuse("conv2d: x must be [2, 3, 8, 8], got [2, 4, 6, 6]"));
  EXPECT_THROW(problem.plan.forward(problem.x, problem.weight, Tensor{}, {}, problem.y, problem.stream), std::invalid_argument);
}

TEST_P(Conv2dTest, OfPointsWithAStrideStaysWithinItsMemory) {
  const Conv2dCase c{"", {.N = 8, .C = 3, .H = 128, .W = 128, .K = 2, .kernel_size = 1, .stride = 2}};
  const int rounds = device().kind == Device::Kind::cpu ? 20 : 1;
  for (int round = 0; round < rounds; ++round) {
    Problem problem(c, device());
    problem.run();
    problem.expect_reference(c, kVendorSum);
  }
}

constexpr float kNotNumbers[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                                 -std::numeric_limits<float>::infinity()};

/// Holds every convolution on the CPU to the reference with one of `values` infinite or NaN, which `tensor` gets: the first, in the
/// corner of the window or the image, the last, and one amid them. With the padding's zeros they make NaN.
void expect_nan_in_padding(std::vector<float> Problem::*values, Tensor Problem::*tensor) {
  for (const Conv2dCase& c : kCases) {
    SCOPED_TRACE(c.name);
    const Problem clean(c, Device::cpu());
    const std::size_t count = (clean.*values).size();
    for (const float value : kNotNumbers) {
      for (const std::size_t element : {std::size_t{0}, count / 2, count - 1}) {
        SCOPED_TRACE(std::to_string(element) + " is " + std::to_string(value));
        Problem problem(c, Device::cpu());
        (problem.*values)[element] = value;
        const Tensor& spoilt = problem.*tensor;
        (problem.*tensor).copy_from(Tensor::from(problem.*values, spoilt.shape()));
        problem.run();
        problem.expect_reference(c, kVendorSum);
        const std::vector<float> first = problem.results();
        problem.run();
        const std::vector<float> again = problem.results();
        EXPECT_EQ(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)), 0);
      }
    }
  }
}

TEST(Conv2dPadding, MakesNanOfWeightsThatAreNotFinite) { expect_nan_in_padding(&Problem::weight_values, &Problem::weight); }

TEST(Conv2dPadding, MakesNanOfGradientsThatAreNotFinite) { expect_nan_in_padding(&Problem::dy_values, &Problem::dy); }

TEST(Conv2dPadding, TakesNoHarmFromInputsThatAreNotFinite) { expect_nan_in_padding(&Problem::x_values, &Problem::x); }

TEST(Conv2dPadding, KeepsItsNanThroughRelu) {
  for (const float value : kNotNumbers) {
    for (const Conv2dCase& c : kCases) {
      SCOPED_TRACE(c.name);
      Problem problem(c, Device::cpu());
      problem.weight_values[0] = value;
      problem.weight.copy_from(Tensor::from(problem.weight_values, problem.weight.shape()));
      problem.plan.forward(problem.x, problem.weight, problem.bias, {Activation::relu}, problem.y, problem.stream);
      reference::Values expected =
          reference::conv2d(c.sizes, widen(problem.x_values), widen(problem.weight_values), widen(problem.bias_values));
      for (double& y : expected) y = y < 0 ? 0 : y;
      expect_close(problem.y.to_vector<float>(), expected, kVendorSum);
    }
  }
}

TEST(Conv2dPadding, OfAPointIsNanIfItsWeightIs) {
  Stream stream;
  Conv2dPlan plan({1, 1, 2, 2}, 1, {.kernel_size = 1, .padding = 1}, Device::cpu());
  Tensor y = Tensor::empty(plan.y_shape());
  plan.forward(Tensor::zeros({1, 1, 2, 2}), Tensor::full({1, 1, 1, 1}, kNotNumbers[0]), Tensor::full({1}, 0.5F), {}, y, stream);
  EXPECT_THAT(y.to_vector<float>(), testing::Each(testing::IsNan()));
}

TEST(Conv2dShape, NamesWhatDoesNotFit) {
  const Conv2dOptions options{.kernel_size = 5};
  EXPECT_THAT(([&] { conv2d_shape({3, 32, 32}, 3, 8, options); }), misuse("add a batch dimension"));
  EXPECT_THAT(([&] { conv2d_shape({2, 4, 32, 32}, 3, 8, options); }), misuse("expects 3 input channels, got 4"));
  EXPECT_THAT(([&] { conv2d_shape({2, 3, 4, 32}, 3, 8, options); }), misuse("5x5"));
}

TEST(Conv2dShape, RefusesOptionsOutOfBounds) {
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 0}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .stride = 0}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .padding = -1}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .dilation = 0}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(3, 8, {.kernel_size = 3, .groups = 2}), std::invalid_argument);
  EXPECT_THROW(conv2d_weight_shape(0, 8, {.kernel_size = 3}), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn::kernels
