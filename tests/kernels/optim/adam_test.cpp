#include <gpucnn/kernels/optim/adam.h>

#include <cmath>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "kernels/optim/tiny_numbers.h"
#include "misuse.h"
#include "reference/adam.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr AdamStep kDefaults{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0, .step = 1};

class AdamTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AdamTest, devices(), device_name);

TEST_P(AdamTest, TheFirstStepIsTheLearningRateInTheGradientsDirection) {
  Tensor weight = tensor({1, 1}), m = tensor({0, 0}), v = tensor({0, 0});
  adam(tensor({0.5, -3}), kDefaults, weight, m, v, stream());
  expect_close(weight.to_vector<float>(), Values{0.999, 1.001}, kPointwise);
  expect_close(m.to_vector<float>(), Values{0.05, -0.3}, kPointwise);
  expect_close(v.to_vector<float>(), Values{0.00025, 0.009}, kPointwise);
}

TEST_P(AdamTest, AZeroGradientChangesNothing) {
  Tensor weight = tensor({2, -3}), m = tensor({0, 0}), v = tensor({0, 0});
  adam(tensor({0, 0}), kDefaults, weight, m, v, stream());
  EXPECT_EQ(weight.to_vector<float>(), (std::vector<float>{2, -3}));
}

TEST_P(AdamTest, WithBeta1ZeroTheMeanIsTheGradientExactly) {
  AdamStep step = kDefaults;
  step.beta1 = 0;
  Tensor weight = tensor({1}), m = tensor({1e6F}), v = tensor({1});
  adam(tensor({0.3F}), step, weight, m, v, stream());
  EXPECT_EQ(m.to_vector<float>()[0], 0.3F);
}

TEST_P(AdamTest, AgreesWithTheReferenceForEverySizeAndCoefficient) {
  const AdamStep steps[] = {kDefaults,
                            {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0, .step = 1000},
                            {.lr = 0.1, .beta1 = 0.3, .beta2 = 0.5, .eps = 1e-3, .weight_decay = 0.01, .step = 3},
                            {.lr = 0.1, .beta1 = 0, .beta2 = 0, .eps = 1, .weight_decay = 1, .step = 2}};
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 367 * 367}) {
    for (const AdamStep& step : steps) {
      SCOPED_TRACE(testing::Message() << size << " elements, step " << step.step);
      const std::vector<float> dweight = random_floats(size, 1), weight = random_floats(size, 2), m = random_floats(size, 3);
      std::vector<float> v = random_floats(size, 4);
      for (float& value : v) value = std::abs(value);
      Values expected_weight = widen(weight), expected_m = widen(m), expected_v = widen(v);
      reference::adam(widen(dweight), step, expected_weight, expected_m, expected_v);
      everywhere(device(), [&] {
        Tensor w = tensor(weight), mean = tensor(m), square = tensor(v);
        adam(tensor(dweight), step, w, mean, square, stream());
        expect_close(w.to_vector<float>(), expected_weight, kSum);
        expect_close(mean.to_vector<float>(), expected_m, kSum);
        expect_close(square.to_vector<float>(), expected_v, kPointwise);
        return w.to_vector<float>();
      });
    }
  }
}

TEST_P(AdamTest, AmsgradDividesByTheLargestRoot) {
  const AdamStep step{.lr = 0.1, .beta1 = 0.3, .beta2 = 0.5, .eps = 1e-3, .weight_decay = 0.01, .step = 3};
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 40'000}) {
    SCOPED_TRACE(size);
    const std::vector<float> dweight = random_floats(size, 1), weight = random_floats(size, 2), m = random_floats(size, 3);
    std::vector<float> v = random_floats(size, 4), max_v = random_floats(size, 5);
    for (float& value : v) value = std::abs(value);
    for (float& value : max_v) value = std::abs(value);
    Values expected_weight = widen(weight), expected_m = widen(m), expected_v = widen(v), expected_max = widen(max_v);
    reference::adam(widen(dweight), step, expected_weight, expected_m, expected_v, &expected_max);
    everywhere(device(), [&] {
      Tensor w = tensor(weight), mean = tensor(m), square = tensor(v), largest = tensor(max_v);
      adam(tensor(dweight), step, w, mean, square, largest, stream());
      expect_close(w.to_vector<float>(), expected_weight, kSum);
      expect_close(square.to_vector<float>(), expected_v, kPointwise);
      expect_close(largest.to_vector<float>(), expected_max, kPointwise);
      return w.to_vector<float>();
    });
  }
}

TEST_P(AdamTest, AmsgradKeepsWhatIsNotANumber) {
  Tensor weight = tensor({1, 1, 1, 1, 1}), m = tensor({0, 0, 0, 0, 0}), v = m.clone(), max_v = tensor({9, 9, 9, 9, 9});
  adam(tensor({1, std::nanf(""), 1, 1, std::nanf("")}), kDefaults, weight, m, v, max_v, stream());
  for (const std::size_t i : {1U, 4U}) {
    EXPECT_TRUE(std::isnan(max_v.to_vector<float>()[i]));
    EXPECT_TRUE(std::isnan(weight.to_vector<float>()[i]));
  }
  EXPECT_EQ(max_v.to_vector<float>()[0], 9);
}

TEST_P(AdamTest, ViewsMayBeginAnywhere) {
  for (const std::int64_t size : {1, 4, 6, 1027}) {
    SCOPED_TRACE(size);
    const Tensor dweight = tensor(random_floats(size, 1)), weight = tensor(random_floats(size, 2)),
                 zeros = Tensor::zeros({size}, DType::f32, device());
    Tensor w = weight.clone(), m = zeros.clone(), v = zeros.clone();
    adam(dweight, kDefaults, w, m, v, stream());
    for (int odd = 0; odd < 4; ++odd) {
      SCOPED_TRACE(odd);
      const auto copy = [&](const Tensor& t, int which) { return which == odd ? unaligned(t) : t.clone(); };
      Tensor w2 = copy(weight, 0), m2 = copy(zeros, 1), v2 = copy(zeros, 2);
      adam(copy(dweight, 3), kDefaults, w2, m2, v2, stream());
      EXPECT_EQ(w2.to_vector<float>(), w.to_vector<float>());
      EXPECT_EQ(m2.to_vector<float>(), m.to_vector<float>());
      EXPECT_EQ(v2.to_vector<float>(), v.to_vector<float>());
    }
  }
}

/// What PyTorch's `_single_tensor_adam` makes of float32 tensors, element by element.
struct PyTorchsAdam {
  std::vector<float> weight, m, v, scale;

  explicit PyTorchsAdam(const std::vector<float>& weights)
      : weight(weights), m(weights.size()), v(weights.size()), scale(weights.size()) {}

  void step(const std::vector<float>& gradients, const AdamStep& s, bool fused) {
    const double correction1 = 1 - std::pow(s.beta1, static_cast<double>(s.step));
    const double correction2 = 1 - std::pow(s.beta2, static_cast<double>(s.step));
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const float g = multiply_add(static_cast<float>(s.weight_decay), weight[i], gradients[i], fused);
      m[i] = multiply_add(static_cast<float>(1 - s.beta1), g - m[i], m[i], fused);
      const volatile float kept = static_cast<float>(s.beta2) * v[i], part = static_cast<float>(1 - s.beta2) * g;
      v[i] = multiply_add(part, g, kept, fused);
      const float denominator = std::sqrt(v[i]) / static_cast<float>(std::sqrt(correction2)) + static_cast<float>(s.eps);
      const volatile float product = static_cast<float>(s.lr / correction1) * m[i];
      const float change = product / denominator;
      scale[i] = std::max({scale[i], std::abs(weight[i]), std::abs(change)});
      weight[i] -= change;
    }
  }
};

TEST_P(AdamTest, DividesByRootsOfSubnormals) {
  for (const double eps : {1e-30, 0.0}) {
    SCOPED_TRACE(eps);
    Tensor weight = tensor({1}), m = tensor({0}), v = tensor({0});
    for (int step = 1; step <= 3; ++step) {
      adam(tensor({1e-20F}), {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = eps, .weight_decay = 0, .step = step}, weight, m, v,
           stream());
    }
    EXPECT_NEAR(static_cast<double>(weight.item()), 0.69931, 1e-5);  // PyTorch's
  }
}

TEST_P(AdamTest, GivesPyTorchsWeightsForEveryEpsAndGradient) {
  // Together, where one decides for its neighbours, and each kind alone.
  std::vector<std::vector<float>> several = {{1, -1e-3F, 1e-10F, 1e-20F, 1e-25F, -1e-30F, 1e-36F, 1e-39F, 0, 1e10F}};
  for (const float weight : several.front()) several.push_back({weight});
  for (const double eps : {0.0, 1e-45, 1e-38, 1e-30, 1e-20, 1e-12, 1e-10, 1e-8, 1e-3, 1.0}) {
    for (const auto& [lr, decay] : {std::pair{0.1, 0.0}, {1e-3, 0.01}, {1e10, 0.0}}) {
      for (const std::vector<float>& weights : several) {
        SCOPED_TRACE(testing::Message() << "eps " << eps << ", lr " << lr << ", weight " << weights.front() << " of "
                                        << weights.size());
        const TinyCases cases(weights);
        AdamStep step{.lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = eps, .weight_decay = decay, .step = 1};
        PyTorchsAdam once(cases.weights), twice(cases.weights);
        for (step.step = 1; step.step <= 5; ++step.step) {
          once.step(cases.gradients, step, true);
          twice.step(cases.gradients, step, false);
        }
        everywhere(device(), [&] {
          Tensor w = tensor(cases.weights), m = tensor(std::vector<float>(cases.weights.size())), v = m.clone();
          for (step.step = 1; step.step <= 5; ++step.step) adam(tensor(cases.gradients), step, w, m, v, stream());
          expect_either(w.to_vector<float>(), once.weight, twice.weight, once.scale);
          return w.to_vector<float>();
        });
      }
    }
  }
}

TEST(AdamCpuTest, MomentsAtRestBecomeZeroInsteadOfSubnormal) {
  // They cost a hundred cycles each, in every step from then on. Zeros are the padding of an arena.
  const std::int64_t size = 40'000;
  std::vector<float> weights = random_floats(size, 1);
  for (std::size_t i = 0; i < weights.size(); i += 9) weights[i] = 0;
  Tensor w = Tensor::from(weights, {size}), m = Tensor::zeros({size}), v = Tensor::zeros({size});
  for (std::size_t i = 0; i < weights.size(); ++i) m.data<float>()[i] = weights[i] == 0 ? 0 : 1e-37F;
  for (std::size_t i = 0; i < weights.size(); ++i) v.data<float>()[i] = weights[i] == 0 ? 0 : 1.2e-38F;
  AdamStep step = kDefaults;
  Stream stream;
  for (step.step = 1000; step.step < 1100; ++step.step) adam(Tensor::zeros({size}), step, w, m, v, stream);
  EXPECT_EQ(w.to_vector<float>(), weights);
  EXPECT_EQ(m.to_vector<float>(), std::vector<float>(weights.size()));
  EXPECT_EQ(v.to_vector<float>(), std::vector<float>(weights.size()));
}

TEST_P(AdamTest, RefusesCoefficientsOutsideTheirBounds) {
  Tensor t = tensor({1, 2});
  const auto with = [&](double AdamStep::*field, double value) {
    return [&, field, value] {
      AdamStep step = kDefaults;
      step.*field = value;
      adam(t, step, t, t, t, stream());
    };
  };
  EXPECT_THAT(with(&AdamStep::lr, -1), misuse("adam: lr must be >= 0, got -1"));
  EXPECT_THAT(with(&AdamStep::lr, std::nan("")), misuse("adam: lr must be >= 0, got nan"));
  EXPECT_THAT(with(&AdamStep::beta1, 1), misuse("adam: beta1 must be in [0, 1), got 1"));
  EXPECT_THAT(with(&AdamStep::beta2, -0.5), misuse("adam: beta2 must be in [0, 1)"));
  EXPECT_THAT(with(&AdamStep::eps, -1), misuse("adam: eps must be >= 0"));
  EXPECT_THAT(with(&AdamStep::weight_decay, -1), misuse("adam: weight_decay must be >= 0"));
  AdamStep step = kDefaults;
  step.step = 0;
  EXPECT_THAT([&] { adam(t, step, t, t, t, stream()); }, misuse("adam: step must be >= 1, got 0"));
}

TEST_P(AdamTest, RefusesTensorsOfOtherShapesAndDtypes) {
  Tensor t = tensor({1, 2}), three = tensor({1, 2, 3}), integers = empty({2}, DType::i32);
  EXPECT_THAT([&] { adam(three, kDefaults, t, t, t, stream()); }, misuse("adam: dweight must be [2], got [3]"));
  EXPECT_THAT([&] { adam(t, kDefaults, integers, t, t, stream()); }, misuse("adam: weight must be f32"));
  EXPECT_THAT([&] { adam(t, kDefaults, t, three, t, stream()); }, misuse("adam: m must be [2], got [3]"));
  EXPECT_THAT([&] { adam(t, kDefaults, t, t, three, stream()); }, misuse("adam: v must be [2], got [3]"));
  EXPECT_THAT([&] { adam(t, kDefaults, t, t, t, three, stream()); }, misuse("adam: max_v must be [2], got [3]"));
}

}  // namespace
}  // namespace gpucnn::kernels
