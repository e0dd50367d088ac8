#include <gpucnn/kernels/winograd/filter_range.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "winograd_problem.h"

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kK = 19, kC = 149, kTaps = 9;

std::size_t at(std::int64_t k, std::int64_t tap, std::int64_t c) { return static_cast<std::size_t>((k * kTaps + tap) * kC + c); }

std::vector<float> random_weights() { return reference::random_floats(kK * kTaps * kC, 5); }

/// Whether the filters of y, and those of the gradient of x, are even.
std::pair<bool, bool> are_even(const std::vector<float>& weights) {
  std::pair<bool, bool> result;
  everywhere(Device::cpu(), [&] {
    result = {cpu::filter_range(weights.data(), kK, kTaps, kC, false).even,
              cpu::filter_range(weights.data(), kK, kTaps, kC, true).even};
    return std::vector<float>{float(result.first), float(result.second)};
  });
  return result;
}

using Even = std::pair<bool, bool>;

TEST(FilterRange, FindsTheLargestMagnitude) {
  for (const float value : {-7.0F, 1e30F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t place : {at(0, 0, 0), at(7, 4, 20), at(kK - 1, kTaps - 1, kC - 1)}) {
      std::vector<float> weights = random_weights();
      weights[place] = value;
      everywhere(Device::cpu(), [&] {
        std::vector<float> found;
        for (const bool exchanged : {false, true}) {
          found.push_back(cpu::filter_range(weights.data(), kK, kTaps, kC, exchanged).largest);
          EXPECT_TRUE(std::isnan(value) ? std::isnan(found.back()) : found.back() == std::abs(value));
        }
        return found;
      });
    }
  }
}

TEST(FilterRange, TakesRandomWeightsAndZerosAsEven) {
  std::vector<float> weights = random_weights();
  EXPECT_EQ(are_even(weights), Even(true, true));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = i % 50 == 0 ? weights[i] : 0.0F;
  EXPECT_EQ(are_even(weights), Even(true, true));
  std::ranges::fill(weights, 0.0F);
  EXPECT_EQ(are_even(weights), Even(true, true));
}

TEST(FilterRange, FindsOneWeightFarAboveItsFilter) {
  for (const std::size_t place : {at(0, 0, 0), at(7, 4, 20), at(kK - 1, kTaps - 1, kC - 1)}) {
    std::vector<float> weights = random_weights();
    weights[place] = 100;
    EXPECT_EQ(are_even(weights), Even(true, true));
    for (const float value : {1e5F, -1e30F}) {
      weights[place] = value;
      EXPECT_EQ(are_even(weights), Even(false, false)) << value;
    }
  }
}

TEST(FilterRange, JudgesEachFilterAlone) {
  std::vector<float> of_y = random_weights(), of_x = random_weights();
  for (std::int64_t tap = 0; tap < kTaps; ++tap) {
    for (std::int64_t c = 0; c < kC; ++c) of_y[at(3, tap, c)] *= 1e6F;
    for (std::int64_t k = 0; k < kK; ++k) of_x[at(k, tap, 30)] *= 1e6F;
  }
  EXPECT_EQ(are_even(of_y), Even(true, false));
  EXPECT_EQ(are_even(of_x), Even(false, true));
}

// ---- what it is for -------------------------------------------------------------------------------------------------------------

const reference::Conv2d kCases[] = {{.N = 2, .C = 17, .H = 6, .W = 7, .K = 33, .kernel_size = 3, .padding = 1},
                                    {.N = 5, .C = 32, .H = 16, .W = 16, .K = 16, .kernel_size = 3, .padding = 1},
                                    {.N = 1, .C = 40, .H = 4, .W = 4, .K = 48, .kernel_size = 3, .padding = 1},
                                    {.N = 3, .C = 18, .H = 9, .W = 8, .K = 20, .kernel_size = 5, .padding = 2}};

struct Outputs {
  std::vector<float> y, dx, dweight;
};

/// By the plan that layers use.
Outputs compute(const WinogradProblem& problem) {
  const std::int64_t K = problem.sizes.K;
  Stream stream;
  Conv2dPlan plan(problem.x_shape(), K, {.kernel_size = problem.sizes.kernel_size, .padding = problem.sizes.padding, .bias = false},
                  Device::cpu());
  const Tensor x = Tensor::from(problem.x, problem.x_shape()), dy = Tensor::from(problem.dy, problem.y_shape());
  const Tensor weight = problem.weights();
  Tensor y = Tensor::zeros(problem.y_shape()), dx = Tensor::zeros(problem.x_shape()), dweight = Tensor::zeros(weight.shape()), none;
  plan.forward(x, weight, none, {}, y, stream);
  plan.backward_data(dy, weight, dx, stream);
  plan.backward_weights(x, dy, {}, dweight, none, stream);
  return {y.to_vector<float>(), dx.to_vector<float>(), dweight.to_vector<float>()};
}

std::vector<double> magnitudes(const std::vector<float>& values) {
  std::vector<double> result(values.begin(), values.end());
  for (double& value : result) value = std::abs(value);
  return result;
}

/// Each magnitude replaced by the largest of its window: `taps` neighbours.
std::vector<double> largest_of_windows(std::vector<double> values, std::size_t taps) {
  for (std::size_t first = 0; first < values.size(); first += taps) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first), end = begin + static_cast<std::ptrdiff_t>(taps);
    std::fill(begin, end, *std::max_element(begin, end));
  }
  return values;
}

void expect_within(const std::vector<float>& actual, const std::vector<double>& expected, const std::vector<double>& sums) {
  constexpr double kError = 1e-6;
  for (std::size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], kError * sums[i]) << i;
}

/// Expects errors up to a part of the sums of what each output reads, taken with the largest tap of a window for `windows`.
void expect_exact(const WinogradProblem& problem, bool windows) {
  const auto taps = static_cast<std::size_t>(problem.sizes.kernel_size.height * problem.sizes.kernel_size.width);
  const auto widest = [=](std::vector<double> values) { return windows ? largest_of_windows(std::move(values), taps) : values; };
  const auto x = magnitudes(problem.x), dy = magnitudes(problem.dy), weight = widest(magnitudes(problem.weight));
  const std::vector<double> none(static_cast<std::size_t>(problem.sizes.K));
  const auto y = reference::conv2d(problem.sizes, reference::widen(problem.x), reference::widen(problem.weight), none);
  const auto gradients = problem.expected_gradients(), sums = reference::conv2d_backward(problem.sizes, x, weight, dy);
  const auto y_sums = reference::conv2d(problem.sizes, x, weight, none);
  everywhere(Device::cpu(), [&] {
    Outputs all = compute(problem);
    expect_within(all.y, y, y_sums);
    expect_within(all.dx, gradients.dx, sums.dx);
    expect_within(all.dweight, gradients.dweight, largest_of_windows(sums.dweight, taps));
    all.y.insert(all.y.end(), all.dx.begin(), all.dx.end());
    return all.y;
  });
}

TEST(ConvolutionsOfAnyRange, AreExactForAWeightFarAboveTheOthers) {
  for (const reference::Conv2d& c : kCases) {
    for (const float value : {1e5F, 1e30F}) {
      SCOPED_TRACE(name_of(c) + testing::PrintToString(value));
      WinogradProblem problem(c);
      problem.weight[5] = value;  // the last tap of a row, for a channel that only borders have
      for (std::size_t i = 0; i < problem.x.size(); ++i) {
        if (i % static_cast<std::size_t>(c.W) != 0) problem.x[i] = 0;
      }
      for (std::size_t i = 0; i < problem.dy.size(); ++i) {
        if (i % static_cast<std::size_t>(c.W) != static_cast<std::size_t>(c.W) - 1) problem.dy[i] = 0;
      }
      expect_exact(problem, false);
    }
  }
}

TEST(ConvolutionsOfAnyRange, AreExactForPixelsAndGradientsOfAnySize) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    WinogradProblem problem(c);
    const auto scale = [](std::vector<float>& values, unsigned seed) {
      const auto exponents = reference::random_floats(static_cast<std::int64_t>(values.size()), seed);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] *= std::exp2(12 * std::round(exponents[i]));
    };
    scale(problem.x, 11);
    scale(problem.dy, 12);
    expect_exact(problem, true);
  }
}

}  // namespace
}  // namespace gpucnn::kernels
