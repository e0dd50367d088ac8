#include <gpucnn/kernels/winograd5x5/winograd5x5.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/winograd5x5/winograd5x5_weight_grad.h>

#include "close.h"
#include "everywhere.h"
#include "reference/conv2d.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const reference::Conv2d kCases[] = {{.N = 1, .C = 16, .H = 2, .W = 2, .K = 16, .kernel_size = 5, .padding = 2},
                                    {.N = 2, .C = 17, .H = 5, .W = 7, .K = 33, .kernel_size = 5, .padding = 2},
                                    {.N = 19, .C = 32, .H = 8, .W = 8, .K = 48, .kernel_size = 5, .padding = 2},
                                    {.N = 3, .C = 20, .H = 12, .W = 11, .K = 50, .kernel_size = 5},
                                    {.N = 1, .C = 100, .H = 3, .W = 2, .K = 19, .kernel_size = 5, .padding = {3, 4}},
                                    {.N = 9, .C = 35, .H = 4, .W = 9, .K = 64, .kernel_size = 5, .padding = Sides{1, 4, 0, 2}},
                                    {.N = 40, .C = 33, .H = 8, .W = 8, .K = 17, .kernel_size = 5, .padding = 2},
                                    {.N = 2, .C = 16, .H = 40, .W = 31, .K = 16, .kernel_size = 5, .padding = 2}};

std::string name_of(const reference::Conv2d& c) {
  return std::to_string(c.N) + "x" + std::to_string(c.C) + "x" + std::to_string(c.H) + "x" + std::to_string(c.W) + " to " +
         std::to_string(c.K);
}

struct Gradients {
  std::vector<float> dweight, dbias;
};

/// A convolution's tensors from fixed seeds.
struct Problem {
  explicit Problem(const reference::Conv2d& c)
      : sizes(c),
        x(random_floats(c.x_numel(), 1)),
        weight(random_floats(c.weight_numel(), 2)),
        bias(random_floats(c.K, 3)),
        dy(random_floats(c.y_numel(), 4)) {}

  Shape x_shape() const { return {sizes.N, sizes.C, sizes.H, sizes.W}; }
  Shape y_shape() const { return conv2d_shape(x_shape(), sizes.C, sizes.K, {.kernel_size = 5, .padding = sizes.padding}); }
  Tensor weights() const { return Tensor::from(weight, {sizes.K, sizes.C, 5, 5}); }
  cpu::Winograd5x5 conv() const { return {x_shape(), y_shape(), sizes.padding.top, sizes.padding.left, false}; }

  /// `served`: whether Winograd must take it.
  std::vector<float> forward(const Activation& epilogue = {}, bool served = true) const {
    Tensor y = Tensor::zeros(y_shape());
    EXPECT_EQ(conv().run(Tensor::from(x, x_shape()), weights(), bias.data(), epilogue, y), served);
    return y.to_vector<float>();
  }

  std::vector<float> data_gradient() const {
    Tensor dx = Tensor::zeros(x_shape());
    cpu::Winograd5x5 gradient(y_shape(), x_shape(), 4 - sizes.padding.top, 4 - sizes.padding.left, true);
    EXPECT_TRUE(gradient.run(Tensor::from(dy, y_shape()), weights(), nullptr, {}, dx));
    return dx.to_vector<float>();
  }

  /// Added to gradients of this value if there is one.
  Gradients gradients(bool with_bias = true, float before = 0, bool served = true) const {
    const bool adds = before != 0;
    Tensor dweight = Tensor::full({sizes.K, sizes.C, 5, 5}, before);
    std::vector<float> dbias(with_bias ? static_cast<std::size_t>(sizes.K) : 0, before);
    const cpu::Winograd5x5WeightGrad gradient(x_shape(), y_shape(), sizes.padding.top, sizes.padding.left);
    EXPECT_EQ(gradient.run(Tensor::from(x, x_shape()), Tensor::from(dy, y_shape()), adds, dweight.data<float>(), adds,
                           with_bias ? dbias.data() : nullptr),
              served);
    return {dweight.to_vector<float>(), dbias};
  }

  std::vector<double> expected() const { return reference::conv2d(sizes, widen(x), widen(weight), widen(bias)); }
  auto expected_gradients() const { return reference::conv2d_backward(sizes, widen(x), widen(weight), widen(dy)); }

  reference::Conv2d sizes;
  std::vector<float> x, weight, bias, dy;
};

TEST(Winograd5x5, ForwardEqualsTheReference) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto expected = problem.expected();
    everywhere(Device::cpu(), [&] {
      const auto y = problem.forward();
      expect_close(y, expected, kSum);
      return y;
    });
  }
}

TEST(Winograd5x5, GradientsEqualTheReference) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto expected = problem.expected_gradients();
    everywhere(Device::cpu(), [&] {
      std::vector<float> all = problem.data_gradient();
      expect_close(all, expected.dx, kSum);
      const Gradients gradients = problem.gradients();
      expect_close(gradients.dweight, expected.dweight, kSum);
      expect_close(gradients.dbias, expected.dbias, kSum);
      all.insert(all.end(), gradients.dweight.begin(), gradients.dweight.end());
      all.insert(all.end(), gradients.dbias.begin(), gradients.dbias.end());
      return all;
    });
  }
}

TEST(Winograd5x5, AppliesTheEpilogueOnce) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto plain = problem.forward();
    auto leaky = plain, relu = plain;
    for (float& value : leaky) value = value > 0 ? value : 0.25F * value;
    for (float& value : relu) value = value > 0 ? value : 0.0F;
    EXPECT_EQ(problem.forward({.kind = Activation::leaky_relu, .negative_slope = 0.25F}), leaky);
    EXPECT_EQ(problem.forward({Activation::relu}), relu);
  }
}

TEST(Winograd5x5, AnImageDoesNotDependOnTheOthers) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem all(c);
    const auto batch = all.forward();
    reference::Conv2d one = c;
    one.N = 1;
    Problem alone(one);
    alone.weight = all.weight;
    for (std::int64_t n = 0; n < c.N; ++n) {
      alone.x.assign(all.x.begin() + n * one.x_numel(), all.x.begin() + (n + 1) * one.x_numel());
      const auto y = alone.forward();
      EXPECT_EQ(std::memcmp(y.data(), batch.data() + n * one.y_numel(), y.size() * sizeof(float)), 0) << "image " << n;
    }
  }
}

TEST(Winograd5x5, AddsToGradientsWhereAsked) {
  const Problem problem(kCases[1]);
  const Gradients fresh = problem.gradients(), added = problem.gradients(true, 2.0F);
  for (std::size_t i = 0; i < added.dweight.size(); ++i) ASSERT_FLOAT_EQ(added.dweight[i], fresh.dweight[i] + 2.0F) << i;
  for (std::size_t i = 0; i < added.dbias.size(); ++i) ASSERT_FLOAT_EQ(added.dbias[i], fresh.dbias[i] + 2.0F) << i;
  EXPECT_EQ(problem.gradients(false).dweight, fresh.dweight);
}

TEST(Winograd5x5, LeavesLargeAndNonfiniteFactorsToOthers) {
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e30F}) {
    SCOPED_TRACE(value);
    Problem in_x(kCases[2]), in_dy(kCases[2]), in_weight(kCases[2]), in_bias(kCases[2]);
    in_x.x.back() = value;
    in_dy.dy.front() = value;
    in_x.forward({}, false);
    for (const Problem& problem : {in_x, in_dy}) {
      const Gradients gradients = problem.gradients(true, 3.0F, false);
      EXPECT_EQ(gradients.dweight, std::vector<float>(gradients.dweight.size(), 3.0F));
      EXPECT_EQ(gradients.dbias, std::vector<float>(gradients.dbias.size(), 3.0F));
    }
    if (std::isfinite(value)) continue;
    in_weight.weight[50] = value;
    in_weight.forward({}, false);
    in_bias.bias[5] = value;
    in_bias.forward({}, false);
  }
}

TEST(Winograd5x5, SeesThatWeightsHaveChanged) {
  Problem problem(kCases[1]);
  const Tensor x = Tensor::from(problem.x, problem.x_shape());
  Tensor weight = problem.weights(), y = Tensor::zeros(problem.y_shape());
  cpu::Winograd5x5 conv = problem.conv();
  ASSERT_TRUE(conv.run(x, weight, problem.bias.data(), {}, y));
  problem.weight[7] = 5;
  weight.copy_from(problem.weights());
  ASSERT_TRUE(conv.run(x, weight, problem.bias.data(), {}, y));
  EXPECT_EQ(y.to_vector<float>(), problem.forward());
  problem.weight[7] = std::numeric_limits<float>::infinity();
  weight.copy_from(problem.weights());
  EXPECT_FALSE(conv.run(x, weight, problem.bias.data(), {}, y));
  EXPECT_FALSE(conv.run(x, weight, problem.bias.data(), {}, y));
}

}  // namespace
}  // namespace gpucnn::kernels
