#include <gpucnn/kernels/optim/rmsprop.h>

#include <cmath>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "kernels/optim/tiny_numbers.h"
#include "misuse.h"
#include "reference/rmsprop.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr RmspropStep kDefaults{.lr = 0.01, .alpha = 0.99, .eps = 1e-8, .weight_decay = 0, .momentum = 0};
constexpr RmspropStep kEverything{
    .lr = 0.1, .alpha = 0.4, .eps = 1e-2, .weight_decay = 0.1, .momentum = 0.7, .centered = true, .maximize = true};

class RmspropTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, RmspropTest, devices(), device_name);

TEST_P(RmspropTest, TheFirstStepIsTenLearningRatesInTheGradientsDirection) {
  Tensor weight = tensor({1, 1});
  RmspropState state{tensor({0, 0}), {}, {}};
  rmsprop(tensor({0.5, -3}), kDefaults, weight, state, stream());
  expect_close(weight.to_vector<float>(), Values{0.9, 1.1}, kPointwise);
  expect_close(state.square_avg.to_vector<float>(), Values{0.0025, 0.09}, kPointwise);
}

TEST_P(RmspropTest, MomentumAddsSteps) {
  Tensor weight = tensor({1});
  RmspropState state{tensor({1}), tensor({3}), {}};
  rmsprop(tensor({1}), {.lr = 0.5, .alpha = 0.5, .eps = 1, .weight_decay = 0, .momentum = 0.5}, weight, state, stream());
  expect_close(state.momentum_buffer.to_vector<float>(), Values{2}, kPointwise);
  expect_close(weight.to_vector<float>(), Values{0}, kPointwise);
}

TEST_P(RmspropTest, AZeroGradientChangesNothingUnlessItMoves) {
  Tensor weight = tensor({2, -3});
  RmspropState state{tensor({0, 0}), tensor({0, 0}), tensor({0, 0})};
  RmspropStep step = kDefaults;
  step.centered = true;
  step.momentum = 0.9;
  rmsprop(tensor({0, 0}), step, weight, state, stream());
  EXPECT_EQ(weight.to_vector<float>(), (std::vector<float>{2, -3}));
}

TEST_P(RmspropTest, ANegativeDifferenceGivesNaNAsInPyTorch) {
  Tensor weight = tensor({1, 1});
  RmspropState state{tensor({0, 1}), {}, tensor({1, 0})};
  rmsprop(tensor({0, 0}), {.lr = 1, .alpha = 0.5, .eps = 1, .weight_decay = 0, .momentum = 0, .centered = true}, weight, state,
          stream());
  EXPECT_TRUE(std::isnan(weight.to_vector<float>()[0]));
  EXPECT_EQ(weight.to_vector<float>()[1], 1);
}

TEST_P(RmspropTest, AgreesWithTheReferenceForEverySizeAndCoefficient) {
  RmspropStep momentum = kDefaults, centered = kDefaults, heavy = kEverything;
  momentum.momentum = 0.9;
  centered.alpha = 0.7;
  centered.centered = true;
  heavy.alpha = 0;
  heavy.centered = false;  // the difference would cancel
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 40'000}) {
    for (const RmspropStep& step : {kDefaults, momentum, centered, heavy, kEverything}) {
      SCOPED_TRACE(testing::Message() << size << " elements, alpha " << step.alpha << ", momentum " << step.momentum);
      const std::vector<float> dweight = random_floats(size, 1), weight = random_floats(size, 2), velocity = random_floats(size, 3);
      std::vector<float> square = random_floats(size, 4), mean = random_floats(size, 5);
      for (float& value : square) value = std::abs(value) + 1;  // more than the mean's square
      Values expected = widen(weight);
      reference::RmspropValues expected_state{widen(square), widen(velocity), widen(mean)};
      reference::rmsprop(widen(dweight), step, expected, expected_state);
      everywhere(device(), [&] {
        Tensor w = tensor(weight);
        RmspropState state{tensor(square), tensor(velocity), tensor(mean)};
        rmsprop(tensor(dweight), step, w, state, stream());
        expect_close(w.to_vector<float>(), expected, kSum);
        expect_close(state.square_avg.to_vector<float>(), expected_state.square_avg, kSum);
        expect_close(state.grad_avg.to_vector<float>(), expected_state.grad_avg, kSum);
        expect_close(state.momentum_buffer.to_vector<float>(), expected_state.momentum_buffer, kSum);
        return w.to_vector<float>();
      });
    }
  }
}

TEST_P(RmspropTest, ViewsMayBeginAnywhere) {
  for (const std::int64_t size : {1, 4, 6, 1027}) {
    SCOPED_TRACE(size);
    const Tensor dweight = tensor(random_floats(size, 1)), weight = tensor(random_floats(size, 2)),
                 ones = Tensor::full({size}, 1, device());
    Tensor w = weight.clone();
    RmspropState state{ones.clone(), ones.clone(), ones.clone()};
    RmspropStep step = kEverything;
    step.centered = size > 1;
    rmsprop(dweight, step, w, state, stream());
    for (int odd = 0; odd < 5; ++odd) {
      SCOPED_TRACE(odd);
      const auto copy = [&](const Tensor& t, int which) { return which == odd ? unaligned(t) : t.clone(); };
      Tensor w2 = copy(weight, 0);
      RmspropState state2{copy(ones, 1), copy(ones, 2), copy(ones, 3)};
      rmsprop(copy(dweight, 4), step, w2, state2, stream());
      EXPECT_EQ(w2.to_vector<float>(), w.to_vector<float>());
      EXPECT_EQ(state2.square_avg.to_vector<float>(), state.square_avg.to_vector<float>());
      EXPECT_EQ(state2.momentum_buffer.to_vector<float>(), state.momentum_buffer.to_vector<float>());
      EXPECT_EQ(state2.grad_avg.to_vector<float>(), state.grad_avg.to_vector<float>());
    }
  }
}

/// What PyTorch's `_single_tensor_rmsprop` makes of float32 tensors, element by element.
struct PyTorchsRmsprop {
  std::vector<float> weight, square, velocity, scale;

  explicit PyTorchsRmsprop(const std::vector<float>& weights)
      : weight(weights), square(weights.size()), velocity(weights.size()), scale(weights.size()) {}

  void step(const std::vector<float>& gradients, const RmspropStep& s, bool fused) {
    const auto lr = static_cast<float>(s.lr);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const float g = multiply_add(static_cast<float>(s.weight_decay), weight[i], gradients[i], fused);
      const volatile float kept = static_cast<float>(s.alpha) * square[i], part = static_cast<float>(1 - s.alpha) * g;
      square[i] = multiply_add(part, g, kept, fused);
      const float root = std::sqrt(square[i]) + static_cast<float>(s.eps);
      volatile float change = lr * g;
      change = change / root;
      if (s.momentum != 0) {
        const volatile float quotient = g / root;
        velocity[i] = multiply_add(static_cast<float>(s.momentum), velocity[i], quotient, fused);
        change = lr * velocity[i];
      }
      scale[i] = std::max({scale[i], std::abs(weight[i]), std::abs(change)});
      weight[i] -= change;
    }
  }
};

TEST_P(RmspropTest, GivesPyTorchsWeightsForEveryEpsAndGradient) {
  // Together, where one decides for its neighbours, and each kind alone.
  std::vector<std::vector<float>> several = {{1, -1e-3F, 1e-10F, 1e-20F, 1e-25F, -1e-30F, 1e-36F, 1e-39F, 0, 1e10F}};
  for (const float weight : several.front()) several.push_back({weight});
  for (const double eps : {0.0, 1e-45, 1e-30, 1e-12, 1e-10, 1e-8, 1e-3, 1.0}) {
    for (const auto& [lr, momentum, decay] : {std::tuple{0.1, 0.0, 0.0}, {1e-3, 0.9, 0.01}, {1e10, 0.0, 0.0}, {0.1, 0.9, 0.0}}) {
      for (const std::vector<float>& weights : several) {
        SCOPED_TRACE(testing::Message() << "eps " << eps << ", lr " << lr << ", momentum " << momentum << ", weight "
                                        << weights.front() << " of " << weights.size());
        const TinyCases cases(weights);
        const RmspropStep step{.lr = lr, .alpha = 0.99, .eps = eps, .weight_decay = decay, .momentum = momentum};
        PyTorchsRmsprop once(cases.weights), twice(cases.weights);
        for (int i = 0; i < 4; ++i) {
          once.step(cases.gradients, step, true);
          twice.step(cases.gradients, step, false);
        }
        everywhere(device(), [&] {
          Tensor w = tensor(cases.weights);
          RmspropState state{Tensor::zeros(w.shape(), DType::f32, device()), Tensor::zeros(w.shape(), DType::f32, device()), {}};
          for (int i = 0; i < 4; ++i) rmsprop(tensor(cases.gradients), step, w, state, stream());
          expect_either(w.to_vector<float>(), once.weight, twice.weight, once.scale);
          return w.to_vector<float>();
        });
      }
    }
  }
}

TEST(RmspropCpuTest, AStateAtRestBecomesZeroInsteadOfSubnormal) {
  // They cost a hundred cycles each, in every step from then on. Zeros are the padding of an arena.
  const std::int64_t size = 40'000;
  std::vector<float> weights = random_floats(size, 1);
  for (std::size_t i = 0; i < weights.size(); i += 9) weights[i] = 0;
  Tensor w = Tensor::from(weights, {size});
  RmspropState state{Tensor::zeros({size}), Tensor::zeros({size}), Tensor::zeros({size})};
  for (Tensor* each : {&state.square_avg, &state.momentum_buffer, &state.grad_avg}) {
    for (std::size_t i = 0; i < weights.size(); ++i) each->data<float>()[i] = weights[i] == 0 ? 0 : 1.2e-38F;
  }
  RmspropStep step = kDefaults;
  step.momentum = 0.9;
  step.centered = true;
  Stream stream;
  for (int i = 0; i < 100; ++i) rmsprop(Tensor::zeros({size}), step, w, state, stream);
  EXPECT_EQ(w.to_vector<float>(), weights);
  for (const Tensor& each : {state.square_avg, state.momentum_buffer, state.grad_avg}) {
    EXPECT_EQ(each.to_vector<float>(), std::vector<float>(weights.size()));
  }
}

TEST_P(RmspropTest, RefusesCoefficientsOutsideTheirBounds) {
  Tensor t = tensor({1, 2});
  RmspropState state{t, t, t};
  const auto with = [&](double RmspropStep::*field, double value) {
    return [&, field, value] {
      RmspropStep step = kDefaults;
      step.*field = value;
      rmsprop(t, step, t, state, stream());
    };
  };
  EXPECT_THAT(with(&RmspropStep::lr, -1), misuse("rmsprop: lr must be >= 0, got -1"));
  EXPECT_THAT(with(&RmspropStep::alpha, 1.5), misuse("rmsprop: alpha must be in [0, 1], got 1.5"));
  EXPECT_THAT(with(&RmspropStep::alpha, std::nan("")), misuse("rmsprop: alpha must be in [0, 1], got nan"));
  EXPECT_THAT(with(&RmspropStep::eps, -1), misuse("rmsprop: eps must be >= 0"));
  EXPECT_THAT(with(&RmspropStep::weight_decay, -1), misuse("rmsprop: weight_decay must be >= 0"));
  EXPECT_THAT(with(&RmspropStep::momentum, -1), misuse("rmsprop: momentum must be >= 0"));
}

TEST_P(RmspropTest, RefusesTensorsThatAreMissingOrOfOtherShapes) {
  Tensor t = tensor({1, 2}), three = tensor({1, 2, 3});
  const auto with = [&](const RmspropState& state, const RmspropStep& step) {
    return [&, state, step] {
      RmspropState own = state;
      rmsprop(t, step, t, own, stream());
    };
  };
  EXPECT_THAT(with({three, {}, {}}, kDefaults), misuse("rmsprop: square_avg must be [2], got [3]"));
  EXPECT_THAT(with({t, {}, t}, kEverything), misuse("rmsprop: momentum_buffer is undefined"));
  EXPECT_THAT(with({t, three, t}, kEverything), misuse("rmsprop: momentum_buffer must be [2], got [3]"));
  EXPECT_THAT(with({t, t, {}}, kEverything), misuse("rmsprop: grad_avg is undefined"));
}

}  // namespace
}  // namespace gpucnn::kernels
