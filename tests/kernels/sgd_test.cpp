#include <gpucnn/kernels/sgd.h>

#include <cmath>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/sgd.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr SgdStep kPlain{.lr = 0.5, .momentum = 0, .dampening = 0, .weight_decay = 0, .nesterov = false, .first = false};
constexpr SgdStep kMomentum{.lr = 0.5, .momentum = 0.5, .dampening = 0, .weight_decay = 0, .nesterov = false, .first = false};

class SgdTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SgdTest, devices(), device_name);

TEST_P(SgdTest, GoesAgainstTheGradient) {
  Tensor weight = tensor({1, 2}), none;
  sgd(tensor({2, -4}), kPlain, weight, none, stream());
  EXPECT_EQ(weight.to_vector<float>(), (std::vector<float>{0, 4}));
}

TEST_P(SgdTest, MomentumStartsWithTheGradientWhateverTheVelocityHolds) {
  Tensor weight = tensor({1}), velocity = tensor({std::nanf("")});
  SgdStep step = kMomentum;
  step.first = true;
  sgd(tensor({2}), step, weight, velocity, stream());
  EXPECT_EQ(weight.to_vector<float>(), std::vector<float>{0});
  sgd(tensor({2}), kMomentum, weight, velocity, stream());
  EXPECT_EQ(velocity.to_vector<float>(), std::vector<float>{3});
  EXPECT_EQ(weight.to_vector<float>(), std::vector<float>{-1.5});
}

TEST_P(SgdTest, NesterovLooksOneStepAhead) {
  Tensor weight = tensor({0}), velocity = tensor({4});
  SgdStep step = kMomentum;
  step.nesterov = true;
  sgd(tensor({2}), step, weight, velocity, stream());
  EXPECT_EQ(velocity.to_vector<float>(), std::vector<float>{4});
  EXPECT_EQ(weight.to_vector<float>(), std::vector<float>{-2});
}

TEST_P(SgdTest, AgreesWithTheReferenceForEverySizeAndCoefficient) {
  const SgdStep steps[] = {kPlain,
                           {.lr = 0.1, .momentum = 0, .dampening = 0, .weight_decay = 0.01, .nesterov = false, .first = true},
                           {.lr = 0.1, .momentum = 0.9, .dampening = 0.2, .weight_decay = 0.01, .nesterov = false, .first = true},
                           {.lr = 0.1, .momentum = 0.9, .dampening = 0.2, .weight_decay = 0.01, .nesterov = false, .first = false},
                           {.lr = 0.1, .momentum = 0.9, .dampening = 0, .weight_decay = 0.1, .nesterov = true, .first = false}};
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 367 * 367}) {
    for (const SgdStep& step : steps) {
      SCOPED_TRACE(testing::Message() << size << " elements, momentum " << step.momentum << ", first " << step.first);
      const std::vector<float> dweight = random_floats(size, 1), weight = random_floats(size, 2), velocity = random_floats(size, 3);
      Values expected_weight = widen(weight), expected_velocity = widen(velocity);
      reference::sgd(widen(dweight), step, expected_weight, expected_velocity);
      everywhere(device(), [&] {
        Tensor w = tensor(weight), u = tensor(velocity);
        sgd(tensor(dweight), step, w, u, stream());
        expect_close(w.to_vector<float>(), expected_weight, kSum);
        expect_close(u.to_vector<float>(), expected_velocity, kSum);
        return w.to_vector<float>();
      });
    }
  }
}

TEST_P(SgdTest, ViewsMayBeginAnywhere) {
  for (const std::int64_t size : {1, 4, 6, 1027}) {
    SCOPED_TRACE(size);
    const Tensor dweight = tensor(random_floats(size, 1)), weight = tensor(random_floats(size, 2)),
                 velocity = tensor(random_floats(size, 3));
    Tensor w = weight.clone(), u = velocity.clone();
    sgd(dweight, kMomentum, w, u, stream());
    for (int odd = 0; odd < 3; ++odd) {
      SCOPED_TRACE(odd);
      const auto copy = [&](const Tensor& t, int which) { return which == odd ? unaligned(t) : t.clone(); };
      Tensor w2 = copy(weight, 0), u2 = copy(velocity, 1);
      sgd(copy(dweight, 2), kMomentum, w2, u2, stream());
      EXPECT_EQ(w2.to_vector<float>(), w.to_vector<float>());
      EXPECT_EQ(u2.to_vector<float>(), u.to_vector<float>());
    }
  }
}

TEST_P(SgdTest, RefusesCoefficientsOutsideTheirBounds) {
  Tensor t = tensor({1, 2});
  const auto with = [&](double SgdStep::*field, double value, bool nesterov = false) {
    return [&, field, value, nesterov] {
      SgdStep step = kMomentum;
      step.nesterov = nesterov;
      step.*field = value;
      sgd(t, step, t, t, stream());
    };
  };
  EXPECT_THAT(with(&SgdStep::lr, -1), misuse("sgd: lr must be >= 0, got -1"));
  EXPECT_THAT(with(&SgdStep::lr, std::nan("")), misuse("sgd: lr must be >= 0, got nan"));
  EXPECT_THAT(with(&SgdStep::momentum, -1), misuse("sgd: momentum must be >= 0"));
  EXPECT_THAT(with(&SgdStep::weight_decay, -1), misuse("sgd: weight_decay must be >= 0"));
  EXPECT_THAT(with(&SgdStep::dampening, std::nan("")), misuse("sgd: dampening must be a number"));
  EXPECT_THAT(with(&SgdStep::momentum, 0, true), misuse("sgd: momentum must be > 0 with nesterov"));
  EXPECT_THAT(with(&SgdStep::dampening, 0.5, true), misuse("sgd: dampening must be 0 with nesterov"));
}

TEST_P(SgdTest, RefusesTensorsOfOtherShapesAndDtypes) {
  Tensor t = tensor({1, 2}), three = tensor({1, 2, 3}), integers = empty({2}, DType::i32), none;
  EXPECT_THAT([&] { sgd(three, kPlain, t, none, stream()); }, misuse("sgd: dweight must be [2], got [3]"));
  EXPECT_THAT([&] { sgd(t, kPlain, integers, none, stream()); }, misuse("sgd: weight must be f32"));
  EXPECT_THAT([&] { sgd(t, kMomentum, t, none, stream()); }, misuse("sgd: velocity is undefined"));
  EXPECT_THAT([&] { sgd(t, kMomentum, t, three, stream()); }, misuse("sgd: velocity must be [2], got [3]"));
}

}  // namespace
}  // namespace gpucnn::kernels
