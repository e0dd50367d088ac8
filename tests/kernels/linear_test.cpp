#include <gpucnn/kernels/linear.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads.h>

#include "close.h"
#include "reference/linear.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;
using testing::HasSubstr;
using testing::ThrowsMessage;

struct Case {
  std::int64_t N, in, out;
  bool bias = true;
};

constexpr auto name_of = [](const auto& test) {
  const Case& c = test.param;
  return std::to_string(c.N) + "x" + std::to_string(c.in) + "to" + std::to_string(c.out) + (c.bias ? "" : "_without_bias");
};

/// The tensors of one product, filled from fixed seeds.
struct Problem {
  explicit Problem(const Case& c)
      : x_values(random_floats(c.N * c.in, 1)),
        weight_values(random_floats(c.in * c.out, 2)),
        bias_values(random_floats(c.bias ? c.out : 0, 3)),
        dy_values(random_floats(c.N * c.out, 4)),
        x(Tensor::from(x_values, {c.N, c.in})),
        weight(Tensor::from(weight_values, {c.out, c.in})),
        bias(c.bias ? Tensor::from(bias_values, {c.out}) : Tensor{}),
        plan(x.shape(), c.out, c.bias, Device::cpu()),
        dy(Tensor::from(dy_values, plan.y_shape())),
        y(Tensor::empty(plan.y_shape())),
        dx(Tensor::empty(x.shape())),
        dweight(Tensor::empty(weight.shape())),
        dbias(c.bias ? Tensor::empty(bias.shape()) : Tensor{}) {}

  void run() {
    plan.forward(x, weight, bias, false, y, stream);
    plan.backward_data(dy, weight, dx, stream);
    plan.backward_weights(x, dy, {}, dweight, dbias, stream);
  }

  std::vector<float> x_values, weight_values, bias_values, dy_values;
  Stream stream;
  Tensor x, weight, bias;
  LinearPlan plan;
  Tensor dy, y, dx, dweight, dbias;
};

class LinearCase : public testing::TestWithParam<Case> {};

TEST_P(LinearCase, EqualsTheReference) {
  const auto [N, in, out, bias] = GetParam();
  Problem problem(GetParam());
  problem.run();
  const auto n = static_cast<std::size_t>(N), i = static_cast<std::size_t>(in), o = static_cast<std::size_t>(out);
  const auto x = widen(problem.x_values), weight = widen(problem.weight_values), dy = widen(problem.dy_values);
  expect_close(problem.y.to_vector<float>(), reference::linear(n, i, o, x, weight, widen(problem.bias_values)), kSum);
  const auto gradients = reference::linear_backward(n, i, o, x, weight, dy);
  expect_close(problem.dx.to_vector<float>(), gradients.dx, kSum);
  expect_close(problem.dweight.to_vector<float>(), gradients.dweight, kSum);
  if (bias) expect_close(problem.dbias.to_vector<float>(), gradients.dbias, kSum);
}

TEST_P(LinearCase, AppliesReluInItsOwnPass) {
  Problem problem(GetParam());
  problem.run();
  std::vector<float> expected = problem.y.to_vector<float>();
  for (float& value : expected) value = std::max(value, 0.0F);
  problem.plan.forward(problem.x, problem.weight, problem.bias, true, problem.y, problem.stream);
  EXPECT_EQ(problem.y.to_vector<float>(), expected);
}

TEST_P(LinearCase, AddsToGradientsWhereAsked) {
  Problem problem(GetParam());
  problem.run();
  std::vector<double> twice = widen(problem.dweight.to_vector<float>());
  for (double& value : twice) value *= 2;
  problem.plan.backward_weights(problem.x, problem.dy, {.dweight = true, .dbias = true}, problem.dweight, problem.dbias,
                                problem.stream);
  expect_close(problem.dweight.to_vector<float>(), twice, kSameValue);
}

TEST_P(LinearCase, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int before = num_threads();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    Problem problem(GetParam());
    problem.run();
    std::vector<float>& all = results.emplace_back(problem.y.to_vector<float>());
    for (const Tensor& tensor : {problem.dx, problem.dweight}) {
      const std::vector<float> values = tensor.to_vector<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
  }
  set_num_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

INSTANTIATE_TEST_SUITE_P(Sizes, LinearCase,
                         testing::Values(Case{1, 1, 1}, Case{4, 2048, 128}, Case{33, 31, 257}, Case{128, 128, 10}, Case{257, 3, 33},
                                         Case{70, 257, 65, false}),
                         name_of);

TEST(Linear, GivesValuesWorkedByHand) {
  LinearPlan plan({1, 3}, 2, true, Device::cpu());
  Tensor y = Tensor::empty({1, 2});
  Stream stream;
  plan.forward(Tensor::from(std::vector<float>{1, 2, 3}, {1, 3}), Tensor::from(std::vector<float>{1, 0, -1, 2, 2, 2}, {2, 3}),
               Tensor::from(std::vector<float>{0.5F, -0.5F}, {2}), false, y, stream);
  EXPECT_THAT(y.to_vector<float>(), testing::ElementsAre(-1.5F, 11.5F));
}

TEST(Linear, OfNoImagesHasZeroGradients) {
  LinearPlan plan({0, 3}, 2, true, Device::cpu());
  Tensor dweight = Tensor::full({2, 3}, 7), dbias = Tensor::full({2}, 7);
  Stream stream;
  plan.backward_weights(Tensor::empty({0, 3}), Tensor::empty({0, 2}), {}, dweight, dbias, stream);
  EXPECT_THAT(dweight.to_vector<float>(), testing::Each(0.0F));
  EXPECT_THAT(dbias.to_vector<float>(), testing::Each(0.0F));
}

TEST(LinearShape, NamesWhatDoesNotFit) {
  EXPECT_THAT(
      [] {
        linear_shape({2, 1568}, 2048, 128);
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("expects 2048 input features, got 1568")));
  EXPECT_THAT([] { linear_shape({2048}, 2048, 128); }, ThrowsMessage<std::invalid_argument>(HasSubstr("add a batch dimension")));
  EXPECT_THROW(linear_shape({2, 3, 2048}, 2048, 128), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn::kernels
