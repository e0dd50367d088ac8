#include <gpucnn/kernels/optim/sgd.h>

#include <cmath>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "kernels/optim/tiny_numbers.h"
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

/// What PyTorch's `_single_tensor_sgd` makes of float32 tensors, element by element.
struct PyTorchsSgd {
  std::vector<float> weight, velocity, scale;

  explicit PyTorchsSgd(const std::vector<float>& weights) : weight(weights), velocity(weights.size()), scale(weights.size()) {}

  void step(const std::vector<float>& gradients, const SgdStep& s, bool fused) {
    const auto momentum = static_cast<float>(s.momentum), lr = static_cast<float>(s.lr);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const float g = multiply_add(static_cast<float>(s.weight_decay), weight[i], gradients[i], fused);
      float direction = g;
      if (s.momentum != 0) {
        const volatile float kept = momentum * velocity[i];
        velocity[i] = s.first ? g : multiply_add(static_cast<float>(1 - s.dampening), g, kept, fused);
        direction = s.nesterov ? multiply_add(momentum, velocity[i], g, fused) : velocity[i];
      }
      scale[i] = std::max({scale[i], std::abs(weight[i]), std::abs(lr * direction)});
      weight[i] = multiply_add(-lr, direction, weight[i], fused);
    }
  }
};

TEST_P(SgdTest, GivesPyTorchsWeightsForEveryGradient) {
  // Together, where one decides for its neighbours, and each kind alone.
  std::vector<std::vector<float>> several = {{1, -1e-3F, 1e-10F, 1e-20F, 1e-25F, -1e-30F, 1e-36F, 1e-39F, 0, 1e10F}};
  for (const float weight : several.front()) several.push_back({weight});
  for (const double lr : {1e-10, 0.1, 1.0, 1e10, 1e30}) {
    for (const SgdStep& kind : {SgdStep{lr, 0, 0, 0, false, false},
                                {lr, 0, 0, 0.01, false, false},
                                {lr, 0.9, 0, 0, false, false},
                                {lr, 0.9, -1e10, 0, false, false},
                                {lr, 0.9, 0, 1e-3, true, false},
                                {lr, 1.5, 0, 0, false, false}}) {
      for (const std::vector<float>& weights : several) {
        SCOPED_TRACE(testing::Message() << "lr " << lr << ", momentum " << kind.momentum << ", weight " << weights.front() << " of "
                                        << weights.size());
        const TinyCases cases(weights);
        PyTorchsSgd once(cases.weights), twice(cases.weights);
        SgdStep step = kind;
        for (int i = 0; i < 4; ++i) {
          step.first = i == 0;
          once.step(cases.gradients, step, true);
          twice.step(cases.gradients, step, false);
        }
        everywhere(device(), [&] {
          Tensor w = tensor(cases.weights), velocity = tensor(std::vector<float>(cases.weights.size(), std::nanf("")));
          for (int i = 0; i < 4; ++i) {
            step.first = i == 0;
            sgd(tensor(cases.gradients), step, w, velocity, stream());
          }
          expect_either(w.to_vector<float>(), once.weight, twice.weight, once.scale);
          return w.to_vector<float>();
        });
      }
    }
  }
}

TEST(SgdCpuTest, VelocitiesAtRestBecomeZeroInsteadOfSubnormal) {
  // They cost a hundred cycles each, in every step from then on. Zeros are the padding of an arena.
  const std::int64_t size = 70'000;
  std::vector<float> weights = random_floats(size, 1);
  for (std::size_t i = 0; i < weights.size(); i += 9) weights[i] = 0;
  Tensor w = Tensor::from(weights, {size}), velocity = Tensor::zeros({size});
  for (std::size_t i = 0; i < weights.size(); ++i) velocity.data<float>()[i] = weights[i] == 0 ? 0 : 1e-37F;
  Stream stream;
  for (int step = 0; step < 10; ++step) sgd(Tensor::zeros({size}), kMomentum, w, velocity, stream);
  EXPECT_EQ(w.to_vector<float>(), weights);
  EXPECT_EQ(velocity.to_vector<float>(), std::vector<float>(weights.size()));
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
