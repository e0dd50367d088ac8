#include <gpucnn/optim/muon.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "optim/parameters.h"
#include "reference/newton_schulz.h"

// Its steps are held against PyTorch's by optimizers_golden_test.cpp.
namespace gpucnn {
namespace {

using reference::Values;
using reference::widen;

/// The singular values of x [R, C]: the roots of the eigenvalues of the smaller of x x^T and x^T x, by Jacobi's rotations.
Values singular_values(Values x, std::int64_t R, std::int64_t C) {
  if (R > C) return singular_values(reference::transposed(x, R, C), C, R);
  Values a = reference::product(x, reference::transposed(x, R, C), R, C, R);
  const auto n = static_cast<std::size_t>(R);
  for (int sweep = 0; sweep < 30; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        const double angle = 0.5 * std::atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]);
        const double c = std::cos(angle), s = std::sin(angle);
        for (std::size_t k = 0; k < n; ++k) {
          const double one = a[p * n + k], other = a[q * n + k];
          a[p * n + k] = c * one - s * other;
          a[q * n + k] = s * one + c * other;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double one = a[k * n + p], other = a[k * n + q];
          a[k * n + p] = c * one - s * other;
          a[k * n + q] = s * one + c * other;
        }
      }
    }
  }
  Values all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(std::sqrt(std::max(a[i * n + i], 0.0)));
  return all;
}

/// Options by which a step subtracts newton_schulz(gradient) and nothing else, from matrices that are not tall.
constexpr MuonOptions kBare{.lr = 1, .weight_decay = 0, .momentum = 0, .nesterov = false};

class MuonTest : public DeviceTest {
 protected:
  /// newton_schulz(gradient), [R, C], of a parameter of this shape.
  std::vector<float> direction(const Shape& shape, const std::vector<float>& gradient) const {
    std::vector<Parameter> parameters = packed({shape}, device());
    parameters[0].set_value(Tensor::zeros(shape, DType::f32, device()));
    parameters[0].accumulate_grad(tensor(gradient, shape));
    Muon(parameters, kBare).step();
    const auto R = static_cast<double>(shape[0]), C = static_cast<double>(shape.numel()) / R;
    std::vector<float> all = values(parameters[0]);
    for (float& value : all) value /= static_cast<float>(-std::sqrt(std::max(1.0, R / C)));
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, MuonTest, devices(), device_name);

TEST(SingularValues, AreThoseOfAKnownMatrix) {
  Values found = singular_values({3, 0, 4, 5, 0, 0}, 2, 3);
  std::ranges::sort(found);
  const double spread = std::sqrt(225.0);  // of 25 and 25 with 15 beside the diagonal
  expect_close(found, Values{std::sqrt(25 - spread), std::sqrt(25 + spread)}, kNumericGradient);
}

TEST_P(MuonTest, BringsAllSingularValuesNearOne) {
  const Shape shapes[] = {{16, 16}, {5, 40}, {40, 5}, {1, 9}, {9, 1}, {1, 1}, {8, 3, 3, 3}, {33, 2, 2, 2}, {70, 130}, {130, 70}};
  for (const Shape& shape : shapes) {
    for (const float scale : {1e-3F, 1.0F, 1e6F}) {
      SCOPED_TRACE(testing::Message() << shape.string() << " times " << scale);
      const std::int64_t R = shape[0], C = shape.numel() / R;
      std::vector<float> gradient = reference::random_floats(shape.numel(), 7);
      for (float& value : gradient) value *= scale;
      const std::vector<float> found = direction(shape, gradient);
      for (const double value : singular_values(widen(found), R, C)) {
        EXPECT_GE(value, 0.68);
        EXPECT_LE(value, 1.21);
      }
      const Values expected = reference::newton_schulz(widen(gradient), R, C, kBare.ns_coefficients, kBare.eps, kBare.ns_steps);
      expect_close(found, expected, {0, 2e-5});
    }
  }
}

TEST_P(MuonTest, AZeroGradientGivesNoUpdateAndOneThatIsNotANumberHasOnlyItsOwnMatrix) {
  for (const Shape& shape : {Shape{3, 8}, Shape{8, 3}}) {
    std::vector<Parameter> parameters = packed({shape, {4, 4}, {5}}, device());
    const std::vector<float> matrix = values(parameters[0]);
    Muon optimizer(parameters, {.lr = 0.1, .weight_decay = 0});
    parameters[0].accumulate_grad(Tensor::zeros(shape, DType::f32, device()));
    optimizer.step();
    EXPECT_EQ(values(parameters[0]), matrix);
    std::vector<float> gradient(24);
    gradient[7] = std::numeric_limits<float>::infinity();
    for (Parameter& parameter : parameters) set_grad(parameter, 1);
    parameters[0].zero_grad();
    parameters[0].accumulate_grad(tensor(gradient, shape));
    optimizer.step();
    for (const float value : values(parameters[0])) EXPECT_TRUE(std::isnan(value));
    for (const std::size_t i : {1U, 2U}) {
      for (const float value : values(parameters[i])) EXPECT_TRUE(std::isfinite(value));
    }
  }
}

TEST_P(MuonTest, GivesTheSameBitsWithEveryNumberOfThreads) {
  for (const Shape& shape : {Shape{70, 130}, Shape{260, 40}, Shape{17, 17}}) {
    everywhere(device(), [&] { return direction(shape, reference::random_floats(shape.numel(), 3)); });
  }
}

TEST_P(MuonTest, IsAdamWForWhatIsNoMatrixAndWhereItIsAskedTo) {
  const AdamWOptions adamw{.lr = 0.1, .weight_decay = 0.3, .amsgrad = true};
  std::vector<Parameter> parameters = packed({{4, 3}, {4}, {2, 3}}, device()), alone = packed({{4, 3}, {4}, {2, 3}}, device());
  Muon optimizer(
      {{{parameters[0], parameters[1]}, {.lr = 0.2, .adamw = adamw}}, {{parameters[2]}, {.use_muon = false, .adamw = adamw}}});
  Muon matrix({alone[0]}, {.lr = 0.2});
  AdamW others({alone[1], alone[2]}, adamw);
  for (unsigned step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < 3; ++i) {
      set_grad(parameters[i], step);
      set_grad(alone[i], step);
    }
    optimizer.step();
    matrix.step();
    others.step();
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(values(parameters[i]), values(alone[i])) << i;
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer.state_dict()) names.push_back(name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("momentum_buffer.0", "exp_avg.1", "exp_avg.2", "exp_avg_sq.1", "exp_avg_sq.2",
                                                   "max_exp_avg_sq.1", "max_exp_avg_sq.2", "step.0", "step.1", "step.2"));
}

TEST_P(MuonTest, TheRateAndTheMomentumOfBothHalvesCanChange) {
  std::vector<Parameter> parameters = packed({{4, 3}, {4}}, device()), alone = packed({{4, 3}, {4}}, device());
  Muon optimizer(parameters);
  EXPECT_EQ(optimizer.groups(), 2U);
  EXPECT_EQ(optimizer.lr(0), 1e-3);
  EXPECT_EQ(optimizer.momentum(0), 0.95);
  EXPECT_EQ(optimizer.momentum(1), 0.9);
  optimizer.set_lr(0, 0.2);
  optimizer.set_lr(1, 0.3);
  optimizer.set_momentum(0, 0.5);
  optimizer.set_momentum(1, 0.6);
  Muon other(alone, {.lr = 0.2, .momentum = 0.5, .adamw = {.lr = 0.3, .betas = {0.6, 0.999}}});
  for (std::size_t i = 0; i < 2; ++i) {
    set_grad(parameters[i], 1);
    set_grad(alone[i], 1);
  }
  optimizer.step();
  other.step();
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(values(parameters[i]), values(alone[i])) << i;
  EXPECT_THAT([&] { optimizer.set_momentum(1, 1); }, misuse("Optimizer: invalid adamw.betas.first: 1, must be in [0, 1)"));
  EXPECT_THAT([&] { optimizer.set_momentum(0, -1); }, misuse("Optimizer: invalid momentum: -1"));
}

TEST(Muon, HasPyTorchsDefaults) {
  const MuonOptions options;
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.weight_decay, 0.1);
  EXPECT_EQ(options.momentum, 0.95);
  EXPECT_TRUE(options.nesterov && options.use_muon);
  EXPECT_EQ(options.ns_coefficients, (std::array<double, 3>{3.4445, -4.7750, 2.0315}));
  EXPECT_EQ(options.eps, 1e-7);
  EXPECT_EQ(options.ns_steps, 5);
  EXPECT_EQ(options.adjust_lr_fn, AdjustLr::original);
}

TEST(Muon, RefusesOptionsOutOfTheirBounds) {
  const auto make = [](MuonOptions options) { return [=] { Muon(packed({{1}}), options); }; };
  EXPECT_THAT(make({.lr = -1}), misuse("Optimizer: invalid lr: -1, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.weight_decay = -1}), misuse("Optimizer: invalid weight_decay: -1, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.momentum = -1}), misuse("Optimizer: invalid momentum: -1, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.ns_coefficients = {1e99, 0, 0}}), misuse("Optimizer: invalid ns_coefficients: 1e+99, must be finite in f32"));
  EXPECT_THAT(make({.eps = -1}), misuse("Optimizer: invalid eps: -1, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.ns_steps = 100}), misuse("Optimizer: invalid ns_steps: 100, must be in [0, 100)"));
  EXPECT_THAT(make({.ns_steps = -1}), misuse("Optimizer: invalid ns_steps: -1, must be in [0, 100)"));
  EXPECT_THAT(make({.adamw = {.betas = {1, 0.9}}}), misuse("Optimizer: invalid adamw.betas.first: 1, must be in [0, 1)"));
  EXPECT_THAT(make({.adamw = {.eps = -1}}), misuse("Optimizer: invalid adamw.eps: -1"));
  EXPECT_NO_THROW(make({.lr = 0, .momentum = 0, .eps = 0, .ns_steps = 0})());
}

TEST(Muon, RefusesMoreGroupsThanHalfOfAnOptimizers) {
  const std::vector<Parameter> p = packed(std::vector<Shape>(5, Shape{2, 2}));
  std::vector<ParameterGroup<MuonOptions>> groups;
  for (const Parameter& parameter : p) groups.push_back({{parameter}, {}});
  EXPECT_THAT([&] { Muon{groups}; }, misuse("Muon: has 5 groups of parameters, may have 4"));
  groups.pop_back();
  EXPECT_EQ(Muon(groups).groups(), 8U);
}

}  // namespace
}  // namespace gpucnn
