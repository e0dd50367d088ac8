#include <gpucnn/kernels/activation/activation.h>

#include <cmath>
#include <limits>
#include <tuple>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/activation.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::kActivations;
using reference::PointwiseActivation;
using reference::random_floats;
using reference::widen;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Activation kRelu{Activation::relu};

class ActivationTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ActivationTest, devices(), device_name);

TEST_P(ActivationTest, ReluStopsNegativesAndKeepsNan) {
  const Tensor x = tensor({-1, 0, 2.5, -kInfinity, kInfinity, kNan});
  Tensor y = empty({6});
  activation(x, kRelu, y, stream());
  expect_close(y.to_vector<float>(), reference::Values{0, 0, 2.5, 0, kInfinity, kNan}, kSameValue);
}

TEST_P(ActivationTest, ReluBackwardPassesWhereTheOutputIsPositiveOrNan) {
  const Tensor y = tensor({0, 3, kNan, 0}), dy = tensor({5, 6, 7, kNan});
  Tensor dx = empty({4});
  activation_backward(y, kRelu, dy, dx, stream());
  expect_close(dx.to_vector<float>(), reference::Values{0, 6, 7, 0}, kSameValue);
}

TEST_P(ActivationTest, AgreesWithTheReferenceForEverySize) {
  for (const PointwiseActivation& each : kActivations) {
    for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 257 * 257, 540'001}) {
      SCOPED_TRACE(std::string(each.name) + ", " + std::to_string(size));
      const std::vector<float> x = random_floats(size, 1), dy = random_floats(size, 2);
      const reference::Values expected = reference::activation(each, widen(x));
      const reference::Values expected_dx = reference::activation_backward(each, widen(x), widen(dy));
      everywhere(device(), [&] {
        const Tensor in = tensor(x);
        Tensor y = empty({size}), dx = empty({size});
        activation(in, each.function, y, stream());
        expect_close(y.to_vector<float>(), expected, each.tolerance);
        activation_backward(activation_backward_reads_y(each.function) ? y : in, each.function, tensor(dy), dx, stream());
        expect_close(dx.to_vector<float>(), expected_dx, each.tolerance);
        std::vector<float> results = y.to_vector<float>(), gradients = dx.to_vector<float>();
        results.insert(results.end(), gradients.begin(), gradients.end());
        return results;
      });
    }
  }
}

TEST_P(ActivationTest, KeepsNan) {
  for (const PointwiseActivation& each : kActivations) {
    SCOPED_TRACE(each.name);
    everywhere(device(), [&] {
      const Tensor x = tensor(std::vector<float>(37, kNan));
      Tensor y = empty({37});
      activation(x, each.function, y, stream());
      const std::vector<float> results = y.to_vector<float>();
      for (const float value : results) EXPECT_TRUE(std::isnan(value));
      return results;
    });
  }
}

TEST_P(ActivationTest, AgreesWithTheReferenceFarFromZero) {
  // Where x is very negative, exponentials have the rounding of their arguments; the last results are subnormal.
  constexpr Tolerance kTail{3e-5, 0, 1e-42};
  std::vector<float> x;
  for (int i = -2400; i <= 2400; ++i) x.push_back(static_cast<float>(i) * 0.015625F);
  const auto count = static_cast<std::int64_t>(x.size());
  const std::vector<float> dy(x.size(), 1);
  for (const PointwiseActivation& each : kActivations) {
    SCOPED_TRACE(each.name);
    everywhere(device(), [&] {
      const Tensor in = tensor(x);
      Tensor y = empty({count}), dx = empty({count});
      activation(in, each.function, y, stream());
      expect_close(y.to_vector<float>(), reference::activation(each, widen(x)), kTail);
      activation_backward(activation_backward_reads_y(each.function) ? y : in, each.function, tensor(dy), dx, stream());
      expect_close(dx.to_vector<float>(), reference::activation_backward(each, widen(x), widen(dy)), kSum);
      return dx.to_vector<float>();
    });
  }
}

TEST_P(ActivationTest, KeepsSubnormals) {
  for (const auto& [kind, factor] : {std::pair(Activation::gelu, 0.5F),
                                     {Activation::gelu_tanh, 0.5F},
                                     {Activation::silu, 0.5F},
                                     {Activation::hardswish, 0.5F},
                                     {Activation::tanh, 1.0F}}) {
    SCOPED_TRACE(kind);
    const std::vector<float> x(17, 0x1p-140F);
    Tensor y = empty({17});
    activation(tensor(x), {kind}, y, stream());
    expect_close(y.to_vector<float>(), reference::Values(17, static_cast<double>(factor) * 0x1p-140), kSameValue);
  }
}

TEST_P(ActivationTest, HardswishPassesTheGradientOfNan) {
  const Tensor x = tensor(std::vector<float>(9, kNan)), dy = tensor(std::vector<float>(9, 2));
  Tensor dx = empty({9});
  activation_backward(x, {Activation::hardswish}, dy, dx, stream());
  EXPECT_EQ(dx.to_vector<float>(), std::vector<float>(9, 2));
}

TEST_P(ActivationTest, WorksInPlace) {
  for (const PointwiseActivation& each : kActivations) {
    SCOPED_TRACE(each.name);
    const Tensor x = tensor(random_floats(100, 1)), dy = tensor(random_floats(100, 2));
    Tensor y = empty({100}), dx = empty({100}), in_place = x.clone(), gradient = dy.clone();
    activation(x, each.function, y, stream());
    activation(in_place, each.function, in_place, stream());
    EXPECT_EQ(in_place.to_vector<float>(), y.to_vector<float>());
    const Tensor kept = activation_backward_reads_y(each.function) ? y : x;
    activation_backward(kept, each.function, dy, dx, stream());
    activation_backward(kept, each.function, gradient, gradient, stream());
    EXPECT_EQ(gradient.to_vector<float>(), dx.to_vector<float>());
  }
}

TEST_P(ActivationTest, ViewsMayBeginAnywhere) {
  for (const PointwiseActivation& each : kActivations) {
    const Activation& function = each.function;
    for (const std::int64_t size : {0, 1, 2, 4, 5, 63, 4099}) {
      SCOPED_TRACE(std::string(each.name) + ", " + std::to_string(size));
      const Tensor x = tensor(random_floats(size, 1)), dy = tensor(random_floats(size, 2));
      Tensor y = empty({size}), dx = empty({size}), odd_y = unaligned(y), odd_dx = unaligned(dx);
      activation(x, function, y, stream());
      for (const Tensor& from : {x, unaligned(x)}) {
        activation(from, function, odd_y, stream());
        EXPECT_EQ(odd_y.to_vector<float>(), y.to_vector<float>());
      }
      activation(unaligned(x), function, y, stream());
      EXPECT_EQ(odd_y.to_vector<float>(), y.to_vector<float>());
      const Tensor kept = activation_backward_reads_y(function) ? y : x, odd_kept = unaligned(kept);
      activation_backward(kept, function, dy, dx, stream());
      const std::vector<float> expected = dx.to_vector<float>();
      for (const auto& [values, from, to] :
           {std::tuple(kept, dy, odd_dx), {kept, unaligned(dy), unaligned(dx)}, {odd_kept, dy, unaligned(dx)}}) {
        Tensor written = to;
        activation_backward(values, function, from, written, stream());
        EXPECT_EQ(written.to_vector<float>(), expected);
      }
    }
  }
}

TEST_P(ActivationTest, RefusesOtherShapesDtypesAndUndefinedTensors) {
  Tensor x = empty({2, 3}), other = empty({3, 2}), integers = empty({2, 3}, DType::i32), none;
  EXPECT_THAT([&] { activation(x, kRelu, other, stream()); }, misuse("activation: y must be [2, 3], got [3, 2]"));
  EXPECT_THAT([&] { activation(integers, kRelu, x, stream()); }, misuse("activation: x must be f32, got i32"));
  EXPECT_THAT([&] { activation(x, kRelu, none, stream()); }, misuse("activation: y is undefined"));
  EXPECT_THAT([&] { activation_backward(x, kRelu, other, x, stream()); }, misuse("activation_backward: dy must be [2, 3]"));
  EXPECT_THAT([&] { activation_backward(x, kRelu, x, other, stream()); }, misuse("activation_backward: dx must be [2, 3]"));
}

}  // namespace
}  // namespace gpucnn::kernels
