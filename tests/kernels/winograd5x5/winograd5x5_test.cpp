#include <gpucnn/kernels/winograd5x5/winograd5x5.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/winograd5x5/winograd5x5_weight_grad.h>

#include "kernels/winograd/winograd_problem.h"

namespace gpucnn::kernels {
namespace {

const reference::Conv2d kCases[] = {{.N = 1, .C = 16, .H = 2, .W = 2, .K = 16, .kernel_size = 5, .padding = 2},
                                    {.N = 2, .C = 17, .H = 5, .W = 7, .K = 33, .kernel_size = 5, .padding = 2},
                                    {.N = 19, .C = 32, .H = 8, .W = 8, .K = 48, .kernel_size = 5, .padding = 2},
                                    {.N = 3, .C = 20, .H = 12, .W = 11, .K = 50, .kernel_size = 5},
                                    {.N = 1, .C = 100, .H = 3, .W = 2, .K = 19, .kernel_size = 5, .padding = {3, 4}},
                                    {.N = 9, .C = 35, .H = 4, .W = 9, .K = 64, .kernel_size = 5, .padding = Sides{1, 4, 0, 2}},
                                    {.N = 40, .C = 33, .H = 8, .W = 8, .K = 17, .kernel_size = 5, .padding = 2},
                                    {.N = 2, .C = 16, .H = 40, .W = 31, .K = 16, .kernel_size = 5, .padding = 2}};

struct Problem : WinogradProblem {
  using WinogradProblem::WinogradProblem;

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
  WinogradGradients gradients(bool with_bias = true, float before = 0, bool served = true) const {
    const bool adds = before != 0;
    Tensor dweight = Tensor::full(weight_shape(), before);
    std::vector<float> dbias(with_bias ? static_cast<std::size_t>(sizes.K) : 0, before);
    const cpu::Winograd5x5WeightGrad gradient(x_shape(), y_shape(), sizes.padding.top, sizes.padding.left);
    EXPECT_EQ(gradient.run(Tensor::from(x, x_shape()), Tensor::from(dy, y_shape()), adds, dweight.data<float>(), adds,
                           with_bias ? dbias.data() : nullptr),
              served);
    return {dweight.to_vector<float>(), dbias};
  }
};

TEST(Winograd5x5, ForwardEqualsTheReference) {
  for (const reference::Conv2d& c : kCases) expect_forward<Problem>(c);
}

TEST(Winograd5x5, GradientsEqualTheReference) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto expected = problem.expected_gradients();
    everywhere(Device::cpu(), [&] {
      std::vector<float> all = problem.data_gradient();
      expect_close(all, expected.dx, kSum);
      const WinogradGradients gradients = problem.gradients();
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
  for (const reference::Conv2d& c : kCases) expect_images_alone<Problem>(c);
}

TEST(Winograd5x5, AddsToGradientsWhereAsked) { expect_added<Problem>(kCases[1]); }

TEST(Winograd5x5, LeavesLargeAndNonfiniteFactorsToOthers) {
  for (const float factor : kUnfitFactors) {
    expect_gradients_left<Problem>(kCases[2], factor);
    Problem in_x(kCases[2]), in_weight(kCases[2]), in_bias(kCases[2]);
    in_x.x.back() = factor;
    in_x.forward({}, false);
    if (std::isfinite(factor)) continue;
    in_weight.weight[50] = factor;
    in_weight.forward({}, false);
    in_bias.bias[5] = factor;
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
