#include <gpucnn/optim/optimizer.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/sgd.h>

#include "close.h"
#include "device_test.h"
#include "misuse.h"
#include "optim/parameters.h"

namespace gpucnn {
namespace {

/// A test of all of our optimizers, with everything on that gives them state.
class AnyOptimizer : public DeviceTest {
 protected:
  /// Calls `test(make)`, where `make(parameters, lr)` gives an optimizer, for each of them.
  template <class Test>
  void for_each(const Test& test) {
    {
      SCOPED_TRACE("Adam");
      test([](std::vector<Parameter> parameters, double lr = 0.1) {
        return Adam(std::move(parameters), {.lr = lr, .weight_decay = 0.01, .amsgrad = true});
      });
    }
    {
      SCOPED_TRACE("RMSprop");
      test([](std::vector<Parameter> parameters, double lr = 0.1) {
        return RMSprop(std::move(parameters),
                       {.lr = lr, .alpha = 0.8, .eps = 0.1, .weight_decay = 0.01, .momentum = 0.5, .centered = true});
      });
    }
    {
      SCOPED_TRACE("Muon");
      test([](std::vector<Parameter> parameters, double lr = 0.1) {
        return Muon(std::move(parameters), {.lr = lr, .adamw = {.lr = lr}});
      });
    }
    {
      SCOPED_TRACE("SGD");
      test([](std::vector<Parameter> parameters, double lr = 0.1) {
        return SGD(std::move(parameters), {.lr = lr, .momentum = 0.9, .weight_decay = 0.01});
      });
    }
  }

  std::vector<Parameter> packed(const std::vector<Shape>& shapes) const { return gpucnn::packed(shapes, device()); }
};
INSTANTIATE_TEST_SUITE_P(Devices, AnyOptimizer, devices(), device_name);

TEST_P(AnyOptimizer, ManyParametersAtOnceAreAsOneByOne) {
  for_each([&](auto make) {
    std::vector<Parameter> together = packed({{3}, {16}, {4, 5}, {1}}), alone = packed({{3}, {16}, {4, 5}, {1}});
    auto all = make(together);
    for (unsigned step = 0; step < 3; ++step) {
      for (std::size_t i = 0; i < together.size(); ++i) set_grad(together[i], step * 10 + static_cast<unsigned>(i));
      all.step();
    }
    for (std::size_t i = 0; i < alone.size(); ++i) {
      auto one = make({alone[i]});
      for (unsigned step = 0; step < 3; ++step) {
        set_grad(alone[i], step * 10 + static_cast<unsigned>(i));
        one.step();
      }
      EXPECT_EQ(values(together[i]), values(alone[i])) << i;
    }
  });
}

TEST_P(AnyOptimizer, ParametersMayComeInAnyOrderAndFromSeveralModels) {
  for_each([&](auto make) {
    std::vector<Parameter> a = packed({{3, 2}, {4}}), b = packed({{5}}), alone = packed({{3, 2}, {4}});
    auto mixed = make({a[1], b[0], a[0]});
    auto plain = make(alone);
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
  });
}

TEST_P(AnyOptimizer, AParameterWithoutGradientIsPassedOverAndItsStepsDoNotCount) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = packed({{3}, {4, 2}, {5}}), alone = packed({{3}, {4, 2}, {5}});
    auto optimizer = make(parameters);
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
    auto one = make({alone[1]});
    set_grad(alone[1], 7);
    one.step();
    EXPECT_EQ(values(parameters[1]), values(alone[1]));
    auto other = make({alone[2]});
    for (unsigned step : {0U, 1U, 7U}) {
      set_grad(alone[2], step);
      other.step();
    }
    EXPECT_EQ(values(parameters[2]), values(alone[2]));
  });
}

TEST_P(AnyOptimizer, ZeroGradForgetsAndAStepThenChangesNothing) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = packed({{3}, {4}});
    auto optimizer = make(parameters);
    set_grad(parameters[0], 1);
    set_grad(parameters[1], 2);
    optimizer.step();
    optimizer.zero_grad();
    const std::vector<float> before = values(parameters[0]);
    EXPECT_FALSE(parameters[0].has_grad() || parameters[1].has_grad());
    optimizer.step();
    EXPECT_EQ(values(parameters[0]), before);
  });
}

TEST_P(AnyOptimizer, GoesOnWhenParametersArePackedElsewhere) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = packed({{3}, {2, 4}}), still = packed({{3}, {2, 4}});
    auto optimizer = make(parameters), reference = make(still);
    for (unsigned step = 0; step < 4; ++step) {
      for (std::size_t i = 0; i < 2; ++i) {
        set_grad(parameters[i], step);
        set_grad(still[i], step);
      }
      optimizer.step();
      reference.step();
      if (step == 1) Arena::pack({parameters[1], parameters[0]}, {"b", "a"}, 0, device());
    }
    EXPECT_EQ(values(parameters[0]), values(still[0]));
    EXPECT_EQ(values(parameters[1]), values(still[1]));
  });
}

TEST_P(AnyOptimizer, GoesOnWhereItsParametersMove) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = gpucnn::packed({{3}, {2, 4}}), still = gpucnn::packed({{3}, {2, 4}});
    auto optimizer = make(parameters), reference = make(still);
    for (unsigned step = 0; step < 6; ++step) {
      for (std::size_t i = 0; i < 2; ++i) {
        set_grad(parameters[i], step);
        set_grad(still[i], step);
      }
      optimizer.step();
      reference.step();
      if (step == 1) Arena::pack(parameters, {"a", "b"}, 0, device());
      if (step == 3) Arena::pack(parameters, {"a", "b"}, 0, Device::cpu());
    }
    for (std::size_t i = 0; i < 2; ++i) expect_close(values(parameters[i]), as_doubles(values(still[i])), kSum);
  });
}

TEST_P(AnyOptimizer, RefusesAParameterThatIsGivenTwice) {
  for_each([&](auto make) {
    const std::vector<Parameter> p = packed({{3}, {2}, {0}, {0}, {4}});
    EXPECT_THAT([&] { make({p[0], p[0]}); }, misuse("parameter 0 is given twice"));
    EXPECT_THAT([&] { make({p[4], p[1], p[0], p[2], p[3], p[1]}); }, misuse("parameter 1 is given twice"));
    make(p);
  });
}

TEST_P(AnyOptimizer, WhatWasMovedFromRefusesToStep) {
  for_each([&](auto make) {
    auto optimizer = make(packed({{3}}));
    auto moved = std::move(optimizer);
    EXPECT_THROW(optimizer.step(), std::logic_error);
    EXPECT_THROW(optimizer.zero_grad(), std::logic_error);
    auto& itself = moved;
    moved = std::move(itself);
    moved.step();
  });
}

TEST(OptimizerOptions, MustBeFinite) {
  const std::vector<Parameter> p = packed({{1}});
  constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {kInfinity, kNan, 1e39, 1e300}) {  // an f32 is infinite from 3.5e38 on
    EXPECT_THAT([&] { Adam(p, {.lr = bad}); }, misuse("invalid lr"));
    EXPECT_THAT([&] { Adam(p, {.betas = {bad, 0.9}}); }, misuse("invalid betas.first"));
    EXPECT_THAT([&] { Adam(p, {.betas = {0.9, bad}}); }, misuse("invalid betas.second"));
    EXPECT_THAT([&] { Adam(p, {.eps = bad}); }, misuse("invalid eps"));
    EXPECT_THAT([&] { Adam(p, {.weight_decay = bad}); }, misuse("invalid weight_decay"));
    EXPECT_THAT([&] { RMSprop(p, {.lr = bad}); }, misuse("invalid lr"));
    EXPECT_THAT([&] { RMSprop(p, {.alpha = bad}); }, misuse("invalid alpha"));
    EXPECT_THAT([&] { RMSprop(p, {.eps = bad}); }, misuse("invalid eps"));
    EXPECT_THAT([&] { RMSprop(p, {.weight_decay = bad}); }, misuse("invalid weight_decay"));
    EXPECT_THAT([&] { RMSprop(p, {.momentum = bad}); }, misuse("invalid momentum"));
    EXPECT_THAT([&] { Muon(p, {.lr = bad}); }, misuse("invalid lr"));
    EXPECT_THAT([&] { Muon(p, {.weight_decay = bad}); }, misuse("invalid weight_decay"));
    EXPECT_THAT([&] { Muon(p, {.momentum = bad}); }, misuse("invalid momentum"));
    EXPECT_THAT([&] { Muon(p, {.ns_coefficients = {1, bad, 1}}); }, misuse("invalid ns_coefficients"));
    EXPECT_THAT([&] { Muon(p, {.eps = bad}); }, misuse("invalid eps"));
    EXPECT_THAT([&] { Muon(p, {.adamw = {.lr = bad}}); }, misuse("invalid adamw.lr"));
    EXPECT_THAT([&] { SGD(p, {.lr = bad}); }, misuse("invalid lr"));
    EXPECT_THAT([&] { SGD(p, {.momentum = bad}); }, misuse("invalid momentum"));
    EXPECT_THAT([&] { SGD(p, {.momentum = 0.9, .dampening = bad}); }, misuse("invalid dampening"));
    EXPECT_THAT([&] { SGD(p, {.weight_decay = bad}); }, misuse("invalid weight_decay"));
  }
}

TEST(OptimizerOptions, InitialValuesAreDrawnFromFiniteBounds) {
  EXPECT_THAT([] { Parameter({1}, Init::uniform(std::numeric_limits<float>::infinity())); }, misuse("cannot draw from"));
  EXPECT_THAT([] { Parameter({1}, Init::constant(std::numeric_limits<float>::quiet_NaN())); }, misuse("cannot draw from"));
}

TEST_P(AnyOptimizer, MovesWithItsState) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = packed({{3}}), still = packed({{3}});
    auto optimizer = make(parameters), reference = make(still);
    set_grad(parameters[0], 1);
    set_grad(still[0], 1);
    optimizer.step();
    reference.step();
    auto moved = std::move(optimizer);
    moved.step();
    reference.step();
    EXPECT_EQ(values(parameters[0]), values(still[0]));
  });
}

TEST_P(AnyOptimizer, TheLearningRateCanChangeBetweenSteps) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = packed({{3}});
    auto optimizer = make(parameters, 0.25);
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
  });
}

TEST_P(AnyOptimizer, RefusesALearningRateThatIsNegativeOrNotFinite) {
  for_each([&](auto make) {
    std::vector<Parameter> parameters = packed({{3}});
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_THAT([&] { make(parameters, -1); }, misuse("invalid lr: -1"));
    EXPECT_THAT([&] { make(parameters, std::nan("")); }, misuse("invalid lr: nan"));
    auto optimizer = make(parameters, 0.5);
    EXPECT_THAT([&] { optimizer.set_lr(infinity); }, misuse("invalid lr: inf"));
    EXPECT_THAT([&] { optimizer.set_lr(-0.1); }, misuse("invalid lr: -0.1"));
    EXPECT_EQ(optimizer.lr(), 0.5);
  });
}

TEST_P(AnyOptimizer, NeedsParametersThatAModelPacked) {
  for_each([&](auto make) {
    EXPECT_THAT([&] { make({}); }, misuse("Optimizer: there are no parameters"));
    EXPECT_THROW(make({Parameter({3}, Init{})}), std::logic_error);
    EXPECT_THROW(make({Parameter()}), std::logic_error);
  });
}

}  // namespace
}  // namespace gpucnn
