#include <gpucnn/optim/optimizer.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>

#include "misuse.h"
#include "optim/parameters.h"

namespace gpucnn {
namespace {

/// Both of our optimizers, with everything on that gives them state.
template <class Make>
class AnyOptimizer : public testing::Test {};

struct MakeAdam {
  static Adam make(std::vector<Parameter> parameters, double lr = 0.1) {
    return Adam(std::move(parameters), {.lr = lr, .weight_decay = 0.01});
  }
};
struct MakeSgd {
  static SGD make(std::vector<Parameter> parameters, double lr = 0.1) {
    return SGD(std::move(parameters), {.lr = lr, .momentum = 0.9, .weight_decay = 0.01});
  }
};
using Makes = testing::Types<MakeAdam, MakeSgd>;
TYPED_TEST_SUITE(AnyOptimizer, Makes);

TYPED_TEST(AnyOptimizer, ManyParametersAtOnceAreAsOneByOne) {
  std::vector<Parameter> together = packed({{3}, {16}, {4, 5}, {1}}), alone = packed({{3}, {16}, {4, 5}, {1}});
  auto all = TypeParam::make(together);
  for (unsigned step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < together.size(); ++i) set_grad(together[i], step * 10 + static_cast<unsigned>(i));
    all.step();
  }
  for (std::size_t i = 0; i < alone.size(); ++i) {
    auto one = TypeParam::make({alone[i]});
    for (unsigned step = 0; step < 3; ++step) {
      set_grad(alone[i], step * 10 + static_cast<unsigned>(i));
      one.step();
    }
    EXPECT_EQ(values(together[i]), values(alone[i])) << i;
  }
}

TYPED_TEST(AnyOptimizer, ParametersMayComeInAnyOrderAndFromSeveralModels) {
  std::vector<Parameter> a = packed({{3}, {4}}), b = packed({{5}}), alone = packed({{3}, {4}});
  auto mixed = TypeParam::make({a[1], b[0], a[0]});
  auto plain = TypeParam::make(alone);
  for (unsigned step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < 2; ++i) {
      set_grad(a[i], step * 2 + static_cast<unsigned>(i));
      set_grad(alone[i], step * 2 + static_cast<unsigned>(i));
    }
    mixed.step();
    plain.step();
  }
  EXPECT_EQ(values(a[0]), values(alone[0]));
  EXPECT_EQ(values(a[1]), values(alone[1]));
}

TYPED_TEST(AnyOptimizer, AParameterWithoutGradientIsPassedOverAndItsStepsDoNotCount) {
  std::vector<Parameter> parameters = packed({{3}, {4}, {5}}), alone = packed({{3}, {4}, {5}});
  auto optimizer = TypeParam::make(parameters);
  const std::vector<float> before = values(parameters[1]);
  for (unsigned step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    set_grad(parameters[0], step);
    set_grad(parameters[2], step);
    optimizer.step();
  }
  EXPECT_EQ(values(parameters[1]), before);
  EXPECT_FALSE(parameters[1].has_grad());
  // Its first step is a first step, although the others' is the third.
  set_grad(parameters[0], 7);
  set_grad(parameters[1], 7);
  set_grad(parameters[2], 7);
  optimizer.step();
  auto one = TypeParam::make({alone[1]});
  set_grad(alone[1], 7);
  one.step();
  EXPECT_EQ(values(parameters[1]), values(alone[1]));
  auto other = TypeParam::make({alone[2]});
  for (unsigned step : {0U, 1U, 7U}) {
    set_grad(alone[2], step);
    other.step();
  }
  EXPECT_EQ(values(parameters[2]), values(alone[2]));
}

TYPED_TEST(AnyOptimizer, ZeroGradForgetsAndAStepThenChangesNothing) {
  std::vector<Parameter> parameters = packed({{3}, {4}});
  auto optimizer = TypeParam::make(parameters);
  set_grad(parameters[0], 1);
  set_grad(parameters[1], 2);
  optimizer.step();
  optimizer.zero_grad();
  const std::vector<float> before = values(parameters[0]);
  EXPECT_FALSE(parameters[0].has_grad() || parameters[1].has_grad());
  optimizer.step();
  EXPECT_EQ(values(parameters[0]), before);
}

TYPED_TEST(AnyOptimizer, GoesOnWhenParametersArePackedElsewhere) {
  std::vector<Parameter> parameters = packed({{3}, {4}}), still = packed({{3}, {4}});
  auto optimizer = TypeParam::make(parameters), reference = TypeParam::make(still);
  for (unsigned step = 0; step < 4; ++step) {
    for (std::size_t i = 0; i < 2; ++i) {
      set_grad(parameters[i], step);
      set_grad(still[i], step);
    }
    optimizer.step();
    reference.step();
    if (step == 1) Arena::pack({parameters[1], parameters[0]}, {"b", "a"}, 0, Device::cpu());
  }
  EXPECT_EQ(values(parameters[0]), values(still[0]));
  EXPECT_EQ(values(parameters[1]), values(still[1]));
}

TYPED_TEST(AnyOptimizer, MovesWithItsState) {
  std::vector<Parameter> parameters = packed({{3}}), still = packed({{3}});
  auto optimizer = TypeParam::make(parameters), reference = TypeParam::make(still);
  set_grad(parameters[0], 1);
  set_grad(still[0], 1);
  optimizer.step();
  reference.step();
  auto moved = std::move(optimizer);
  moved.step();
  reference.step();
  EXPECT_EQ(values(parameters[0]), values(still[0]));
}

TYPED_TEST(AnyOptimizer, TheLearningRateCanChangeBetweenSteps) {
  std::vector<Parameter> parameters = packed({{3}});
  auto optimizer = TypeParam::make(parameters, 0.25);
  EXPECT_EQ(optimizer.lr(), 0.25);
  set_grad(parameters[0], 1);
  optimizer.set_lr(0);
  const std::vector<float> before = values(parameters[0]);
  optimizer.step();
  EXPECT_EQ(values(parameters[0]), before);
  optimizer.set_lr(0.5);
  optimizer.step();
  EXPECT_NE(values(parameters[0]), before);
  EXPECT_EQ(optimizer.lr(), 0.5);
}

TYPED_TEST(AnyOptimizer, RefusesALearningRateThatIsNegativeOrNotFinite) {
  std::vector<Parameter> parameters = packed({{3}});
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT([&] { TypeParam::make(parameters, -1); }, misuse("invalid lr: -1"));
  EXPECT_THAT([&] { TypeParam::make(parameters, std::nan("")); }, misuse("invalid lr: nan"));
  auto optimizer = TypeParam::make(parameters, 0.5);
  EXPECT_THAT([&] { optimizer.set_lr(infinity); }, misuse("invalid lr: inf"));
  EXPECT_THAT([&] { optimizer.set_lr(-0.1); }, misuse("invalid lr: -0.1"));
  EXPECT_EQ(optimizer.lr(), 0.5);
}

TYPED_TEST(AnyOptimizer, NeedsParametersThatAModelPacked) {
  EXPECT_THAT([] { TypeParam::make({}); }, misuse("Optimizer: there are no parameters"));
  EXPECT_THROW(TypeParam::make({Parameter({3}, Init{})}), std::logic_error);
  EXPECT_THROW(TypeParam::make({Parameter()}), std::logic_error);
}

}  // namespace
}  // namespace gpucnn
