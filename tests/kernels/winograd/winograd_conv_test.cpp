#include <gpucnn/kernels/winograd/winograd_conv.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "reference/activation.h"
#include "winograd_problem.h"

namespace gpucnn::kernels {
namespace {

const reference::Conv2d kCases[] = {{.N = 1, .C = 16, .H = 2, .W = 2, .K = 16, .kernel_size = 3, .padding = 1},
                                    {.N = 2, .C = 17, .H = 5, .W = 7, .K = 33, .kernel_size = 3, .padding = 1},
                                    {.N = 3, .C = 32, .H = 8, .W = 8, .K = 48, .kernel_size = 3, .padding = 1},
                                    {.N = 9, .C = 67, .H = 4, .W = 3, .K = 19, .kernel_size = 3, .padding = 1},
                                    {.N = 1, .C = 130, .H = 9, .W = 6, .K = 65, .kernel_size = 3, .padding = 1},
                                    {.N = 5, .C = 16, .H = 16, .W = 15, .K = 40, .kernel_size = 3, .padding = 1},
                                    {.N = 13, .C = 257, .H = 3, .W = 4, .K = 67, .kernel_size = 3, .padding = 1},
                                    {.N = 1, .C = 37, .H = 4, .W = 4, .K = 41, .kernel_size = 3, .padding = 1}};

struct Problem : WinogradProblem {
  using WinogradProblem::WinogradProblem;

  /// Logical order, as in `x`. `served`: whether Winograd must take it.
  std::vector<float> forward(const Activation& epilogue = {}, bool served = true) const {
    return run({x_shape(), y_shape(), false}, Tensor::from(x, x_shape()), bias.data(), {epilogue}, y_shape(), served);
  }

  /// activation(y + addend), the addend being dy.
  std::vector<float> forward_sum(const Activation& activation) const {
    const Tensor addend = Tensor::from(dy, y_shape());
    return run({x_shape(), y_shape(), false}, Tensor::from(x, x_shape()), bias.data(), {activation, addend.data<float>()},
               y_shape(), true);
  }

  std::vector<float> data_gradient(const float* addend = nullptr, const float* relu_made = nullptr) const {
    return run({y_shape(), x_shape(), true}, Tensor::from(dy, y_shape()), nullptr, {{}, addend, relu_made}, x_shape(), true);
  }

  /// Twice: what packs weights that are new differs from what keeps them.
  std::vector<float> run(cpu::WinogradConv conv, const Tensor& from, const float* with_bias, const cpu::WinogradEpilogue& epilogue,
                         const Shape& to, bool served) const {
    Tensor first = Tensor::zeros(to), second = Tensor::zeros(to);
    const Tensor weight_tensor = weights();
    EXPECT_EQ(conv.run(from, weight_tensor, with_bias, epilogue, first), served);
    EXPECT_EQ(conv.run(from, weight_tensor, with_bias, epilogue, second), served);
    EXPECT_EQ(std::memcmp(std::as_const(first).bytes(), std::as_const(second).bytes(), first.nbytes()), 0);
    return first.to_vector<float>();
  }
};

TEST(WinogradConv, ForwardEqualsTheReference) {
  for (const reference::Conv2d& c : kCases) expect_forward<Problem>(c);
}

TEST(WinogradConv, DataGradientEqualsTheReference) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto expected = problem.expected_gradients().dx;
    everywhere(Device::cpu(), [&] {
      const auto dx = problem.data_gradient();
      expect_close(dx, expected, kSum);
      return dx;
    });
  }
}

TEST(WinogradConv, AppliesTheEpilogueOnce) {
  for (const reference::Conv2d& c : {kCases[1], kCases[5], kCases[7]}) {  // tasks of panels, of all channels, and from taps
    SCOPED_TRACE(name_of(c));
    Problem problem(c);
    problem.x[100] = 1e30F;  // some tiles are computed directly
    const Activation leaky{.kind = Activation::leaky_relu, .negative_slope = 0.25F};
    const auto plain = problem.forward();
    auto relu = plain, leaked = plain;
    for (float& value : relu) value = value < 0 ? 0 : value;
    for (float& value : leaked) value = value > 0 ? value : 0.25F * value;
    EXPECT_EQ(problem.forward({Activation::relu}), relu);
    EXPECT_EQ(problem.forward(leaky), leaked);
  }
}

TEST(WinogradConv, AddsBeforeTheActivation) {
  const Activation leaky{.kind = Activation::leaky_relu, .negative_slope = 0.25F};
  for (const reference::Conv2d& c : {kCases[1], kCases[5], kCases[7]}) {
    SCOPED_TRACE(name_of(c));
    Problem problem(c);
    problem.x[100] = 1e30F;  // some tiles are computed directly
    everywhere(Device::cpu(), [&] {
      auto sum = problem.forward();
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += problem.dy[i];
      auto relu = sum, leaked = sum;
      for (float& value : relu) value = value < 0 ? 0 : value;
      for (float& value : leaked) value = value > 0 ? value : 0.25F * value;
      EXPECT_EQ(problem.forward_sum({}), sum);
      EXPECT_EQ(problem.forward_sum({Activation::relu}), relu);
      EXPECT_EQ(problem.forward_sum(leaky), leaked);
      return sum;
    });
  }
}

TEST(WinogradConv, DataGradientsTakeWhatStandsBefore) {
  for (const reference::Conv2d& c : {kCases[1], kCases[5], kCases[7]}) {
    SCOPED_TRACE(name_of(c));
    Problem problem(c);
    problem.dy[100] = 1e30F;
    std::vector<float> made = problem.x;
    for (float& value : made) value = value < 0 ? 0 : value;
    made[7] = std::numeric_limits<float>::quiet_NaN();  // lets its gradient pass
    const Tensor other = Tensor::from(problem.x, problem.x_shape()), relu_made = Tensor::from(made, problem.x_shape());
    everywhere(Device::cpu(), [&] {
      const auto plain = problem.data_gradient();
      auto sum = plain, masked = plain;
      for (std::size_t i = 0; i < plain.size(); ++i) {
        sum[i] += problem.x[i];
        if (made[i] <= 0) masked[i] = 0;
      }
      EXPECT_EQ(problem.data_gradient(other.data<float>()), sum);
      EXPECT_EQ(problem.data_gradient(nullptr, relu_made.data<float>()), masked);
      return plain;
    });
  }
}

TEST(WinogradConv, KeepsNanBehindRelu) {
  Problem problem(kCases[1]);
  problem.x[100] = std::numeric_limits<float>::quiet_NaN();
  const auto plain = problem.forward(), relu = problem.forward({Activation::relu});
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(std::isnan(plain[i]), std::isnan(relu[i])) << i;
}

TEST(WinogradConv, AnImageDoesNotDependOnTheOthers) {
  for (const reference::Conv2d& c : kCases) expect_images_alone<Problem>(c);
}

TEST(WinogradConv, KeepsInfinitiesAndNanWhereTheyBelong) {
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 3e38F}) {
    SCOPED_TRACE(value);
    Problem problem(kCases[1]);
    problem.x[40] = value;
    for (float& weight : problem.weight) weight = std::abs(weight) + 0.5F;  // 3e38 overflows or not, whatever the order
    const auto y = problem.forward();
    const auto expected = problem.expected();
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(y[i])) << i;
      } else if (expected[i] > 3.5e38) {
        EXPECT_EQ(y[i], std::numeric_limits<float>::infinity()) << i;
      } else if (expected[i] < 3.3e38) {
        EXPECT_NEAR(y[i], expected[i], 1e-6 * (200 + expected[i])) << i;
      }
    }
  }
}

TEST(WinogradConv, IsExactBesideAFarLargerPixel) {
  Problem problem(kCases[2]);
  problem.x[3 * 8 + 3] = 1e6F;
  const auto expected = problem.expected();
  everywhere(Device::cpu(), [&] {
    const auto y = problem.forward();
    for (std::size_t e = 0; e < y.size(); ++e) {
      const std::size_t i = e / 8 % 8, j = e % 8;
      const bool reads_it = e < y.size() / 3 && i >= 2 && i <= 4 && j >= 2 && j <= 4;
      EXPECT_NEAR(y[e], expected[e], reads_it ? 1.0 : 1e-4) << e;
    }
    return y;
  });
}

TEST(WinogradConv, LeavesWeightsThatAreNotFiniteToOthers) {
  Problem problem(kCases[1]);
  problem.weight[50] = std::numeric_limits<float>::infinity();
  problem.forward({}, false);
  Problem biased(kCases[1]);
  biased.bias[5] = std::numeric_limits<float>::quiet_NaN();
  biased.forward({}, false);
}

TEST(WinogradConv, SeesThatWeightsHaveChanged) {
  for (const reference::Conv2d& c : {kCases[1], kCases[7]}) {
    Problem problem(c);
    const Tensor x = Tensor::from(problem.x, problem.x_shape());
    Tensor weight = problem.weights(), y = Tensor::zeros(problem.y_shape());
    cpu::WinogradConv conv(problem.x_shape(), problem.y_shape(), false);
    ASSERT_TRUE(conv.run(x, weight, problem.bias.data(), {}, y));
    for (const float value : {5.0F, 6.0F}) {  // once after one call of the old ones, once after several
      problem.weight[7] = value;
      weight.copy_from(problem.weights());
      for (int call = 0; call < 3; ++call) {
        ASSERT_TRUE(conv.run(x, weight, problem.bias.data(), {}, y));
        EXPECT_EQ(y.to_vector<float>(), problem.forward());
      }
    }
    problem.weight[7] = std::numeric_limits<float>::infinity();
    weight.copy_from(problem.weights());
    EXPECT_FALSE(conv.run(x, weight, problem.bias.data(), {}, y));
    EXPECT_FALSE(conv.run(x, weight, problem.bias.data(), {}, y));
  }
}

}  // namespace
}  // namespace gpucnn::kernels
