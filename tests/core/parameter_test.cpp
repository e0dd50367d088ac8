#include <gpucnn/core/parameter.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/random.h>

#include "device_test.h"

namespace gpucnn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

const std::vector<std::string> kNames{"a.weight", "a.bias", "b.weight"};

std::vector<Parameter> three() {
  return {Parameter({2, 3, 3, 3}, Init::uniform(0.5F)), Parameter({5}, Init::constant(1.5F)), Parameter({4, 7}, Init{-1, 2})};
}

std::vector<Parameter> packed(std::uint64_t seed, Device device = {}) {
  std::vector<Parameter> parameters = three();
  Arena::pack(parameters, kNames, seed, device);
  return parameters;
}

class ParameterTest : public DeviceTest {
 protected:
  std::vector<Parameter> packed(std::uint64_t seed) const { return gpucnn::packed(seed, device()); }
};
INSTANTIATE_TEST_SUITE_P(Devices, ParameterTest, devices(), device_name);

TEST(Parameter, HasNoValuesUntilTheyAreDrawn) {
  const Parameter weight({2, 3}, Init::uniform(1));
  EXPECT_TRUE(weight.defined());
  EXPECT_EQ(weight.shape(), (Shape{2, 3}));
  EXPECT_EQ(weight.numel(), 6);
  EXPECT_EQ(weight.name(), "");
  EXPECT_FALSE(weight.has_value());
  EXPECT_FALSE(weight.has_grad());
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_THAT([&] { weight.value(); }, ThrowsMessage<std::logic_error>(HasSubstr("no values yet; call init(seed)")));
}

// The words of a stream by pairs: radius from the first, angle from the second.
TEST_P(ParameterTest, NormalValuesAreThoseOfBoxAndMuller) {
  std::vector<Parameter> two{Parameter({3, 1, 3}, Init::uniform(1)), Parameter({7}, Init::normal(0.5F))};
  two[0].set_init(Init::normal(2));
  EXPECT_EQ(two[0].init().deviation, 2);
  Arena::pack(two, {"a", "b"}, 5, device());
  for (std::uint32_t i = 0; i < 2; ++i) {
    const RandomStream random(5, Purpose::weights, i);
    const std::vector<float> drawn = two[i].value().to_vector<float>();
    for (std::size_t e = 0; e < drawn.size(); ++e) {
      const std::size_t first = e / 2 * 2;
      const double radius = std::sqrt(-2 * std::log(1 - double{random.uniform(first)}));
      const double angle = 2 * std::numbers::pi * double{random.uniform(first + 1)};
      EXPECT_NEAR(drawn[e], (i == 0 ? 2 : 0.5) * radius * (e % 2 == 0 ? std::cos(angle) : std::sin(angle)), 1e-6);
    }
  }
}

TEST(Parameter, RefusesToBeDrawnFromNothing) {
  Parameter weight({2}, Init::constant(3));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Init& init : {Init{1, 0}, Init{0, kInfinity}, Init::normal(-1), Init::normal(kInfinity)}) {
    EXPECT_THAT([&] { Parameter({2}, init); }, ThrowsMessage<std::invalid_argument>(HasSubstr("cannot draw from")));
    EXPECT_THAT([&] { weight.set_init(init); }, ThrowsMessage<std::invalid_argument>(HasSubstr("cannot draw from")));
  }
  EXPECT_EQ(weight.init().low, 3);
}

TEST(Parameter, ThatNamesNoneSaysSo) {
  const Parameter none;
  EXPECT_FALSE(none.defined());
  EXPECT_THROW(none.value(), std::logic_error);
  EXPECT_THROW(none.shape(), std::logic_error);
  EXPECT_EQ(none, Parameter());
}

TEST_P(ParameterTest, IsAHandle) {
  Parameter weight({2}, Init::constant(3));
  const Parameter same = weight;
  EXPECT_EQ(weight, same);
  EXPECT_NE(weight, Parameter({2}, Init::constant(3)));
  weight.set_value(tensor({1, 2}));
  EXPECT_THAT(same.value().to_vector<float>(), ElementsAre(1, 2));
}

TEST(Parameter, SetValueCopiesInPlace) {
  Parameter weight({2}, Init::constant(3));
  Tensor given = Tensor::zeros({2});
  weight.set_value(given);
  given.data<float>()[0] = 9;
  EXPECT_THAT(weight.value().to_vector<float>(), ElementsAre(0, 0));
  const Tensor kept = weight.value();
  weight.set_value(given);
  EXPECT_THAT(kept.to_vector<float>(), ElementsAre(9, 0));
  EXPECT_THAT([&] { weight.set_value(Tensor::zeros({3})); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("expects f32 [2], got f32 [3]")));
  EXPECT_THROW(weight.set_value(Tensor::zeros({2}, DType::i32)), std::invalid_argument);
  EXPECT_THROW(weight.set_value(Tensor()), std::invalid_argument);
}

TEST_P(ParameterTest, GradientsAddUpUntilTheyAreForgotten) {
  Parameter weight({2}, Init::constant(3));
  weight.set_value(Tensor::zeros({2}, DType::f32, device()));
  const Tensor once = tensor({1, 2});
  weight.accumulate_grad(once);
  EXPECT_THAT(weight.grad().to_vector<float>(), ElementsAre(1, 2));
  weight.accumulate_grad(once);
  EXPECT_THAT(weight.grad().to_vector<float>(), ElementsAre(2, 4));
  weight.zero_grad();
  EXPECT_FALSE(weight.grad().defined());
  weight.accumulate_grad(once);
  EXPECT_THAT(weight.grad().to_vector<float>(), ElementsAre(1, 2));
  EXPECT_THROW(weight.accumulate_grad(Tensor::zeros({3})), std::invalid_argument);
  EXPECT_THROW(weight.accumulate_grad(Tensor()), std::invalid_argument);
}

TEST_P(ParameterTest, GradTargetTellsTheFirstWriterToWriteAndTheNextToAdd) {
  Parameter weight({2}, Init::constant(3));
  EXPECT_THROW(weight.grad_target(), std::logic_error);
  weight.set_value(Tensor::zeros({2}, DType::f32, device()));
  EXPECT_FALSE(weight.grad_target().accumulate);
  EXPECT_TRUE(weight.has_grad());
  const auto [grad, accumulate] = weight.grad_target();
  EXPECT_TRUE(accumulate);
  EXPECT_EQ(grad.bytes(), weight.grad().bytes());
  weight.zero_grad();
  EXPECT_FALSE(weight.grad_target().accumulate);
}

// ---- Arena -----------------------------------------------------------------------------------------------------------------

TEST_P(ParameterTest, DrawsEachParameterFromAStreamOfItsOwn) {
  const std::vector<Parameter> parameters = packed(7);
  const std::vector<float> weight = parameters[0].value().to_vector<float>(), last = parameters[2].value().to_vector<float>();
  for (std::size_t e = 0; e < weight.size(); ++e) {
    EXPECT_EQ(weight[e], -0.5F + RandomStream(7, Purpose::weights, 0).uniform(e)) << e;
  }
  for (std::size_t e = 0; e < last.size(); ++e) {
    EXPECT_EQ(last[e], -1.0F + 3.0F * RandomStream(7, Purpose::weights, 2).uniform(e)) << e;
  }
  EXPECT_THAT(parameters[1].value().to_vector<float>(), Each(1.5F));
}

TEST(Arena, GivesNames) {
  const std::vector<Parameter> parameters = packed(0);
  EXPECT_EQ(parameters[0].name(), "a.weight");
  EXPECT_EQ(parameters[2].name(), "b.weight");
}

TEST_P(ParameterTest, LaysValuesAndGradientsInOneAlignedPieceEachWithZerosBetween) {
  std::vector<Parameter> parameters = packed(0);
  const auto* const first = reinterpret_cast<const float*>(parameters[0].value().bytes());
  const auto* const first_grad = reinterpret_cast<const float*>(parameters[0].grad_target().grad.bytes());
  std::int64_t offset = 0;
  for (Parameter& parameter : parameters) {
    const Tensor value = parameter.value(), grad = parameter.grad_target().grad;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(value.bytes()) % 64, 0U);
    EXPECT_EQ(value.device_data<float>(), first + offset);
    EXPECT_EQ(grad.device_data<float>(), first_grad + offset);
    const std::int64_t padded = Arena::padded(parameter.numel()), gap = padded - parameter.numel();
    const Parameter::Slot slot = parameter.slot();
    for (const Tensor& arena : {slot.values, slot.grads}) {
      EXPECT_THAT(arena.view(slot.first + parameter.numel(), {gap}).to_vector<float>(), Each(0)) << parameter.name();
    }
    offset += padded;
  }
  EXPECT_EQ(Arena::padded(0), 0);
  EXPECT_EQ(Arena::padded(1), 16);
  EXPECT_EQ(Arena::padded(16), 16);
}

TEST_P(ParameterTest, PackingAgainKeepsHandlesValuesAndGradients) {
  std::vector<Parameter> parameters = packed(3);
  const Parameter handle = parameters[0];
  const std::vector<float> values = handle.value().to_vector<float>();
  const Tensor old_memory = handle.value();
  parameters[1].accumulate_grad(Tensor::full({5}, 2));
  Arena::pack(parameters, kNames, /*seed=*/99, device());
  EXPECT_NE(handle.value().bytes(), old_memory.bytes());
  EXPECT_EQ(handle.value().to_vector<float>(), values);
  EXPECT_THAT(parameters[1].grad().to_vector<float>(), Each(2));
  EXPECT_FALSE(parameters[0].has_grad());
}

TEST_P(ParameterTest, PackingDrawsOnlyWhatHasNoValues) {
  std::vector<Parameter> parameters = three();
  parameters[0].set_value(Tensor::full({2, 3, 3, 3}, 4));
  Arena::pack(parameters, kNames, 1, device());
  EXPECT_THAT(parameters[0].value().to_vector<float>(), Each(4));
  EXPECT_EQ(parameters[2].value().to_vector<float>(), packed(1)[2].value().to_vector<float>());
}

TEST_P(ParameterTest, DrawsAllAnewWhereTheyLie) {
  std::vector<Parameter> parameters = packed(1);
  const Tensor held = parameters[2].value();
  Arena::draw(parameters, 2);
  EXPECT_EQ(parameters[2].value().bytes(), held.bytes());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_EQ(parameters[i].value().to_vector<float>(), packed(2)[i].value().to_vector<float>());
  }
}

TEST_P(ParameterTest, PackingMovesToADeviceAndBack) {
  std::vector<Parameter> parameters = gpucnn::packed(3);
  const std::vector<float> values = parameters[2].value().to_vector<float>();
  parameters[1].accumulate_grad(Tensor::full({5}, 2));
  for (const Device to : {device(), Device::cpu()}) {
    Arena::pack(parameters, kNames, /*seed=*/99, to);
    EXPECT_EQ(parameters[2].value().device(), to);
    EXPECT_EQ(parameters[2].value().to_vector<float>(), values);
    EXPECT_THAT(parameters[1].grad().to_vector<float>(), Each(2));
  }
}

TEST_P(ParameterTest, TakesValuesAndGradientsFromAnyDevice) {
  for (Parameter& parameter : packed(1)) {
    parameter.set_value(Tensor::full(parameter.shape(), 4));
    parameter.accumulate_grad(Tensor::full(parameter.shape(), 1));
    parameter.accumulate_grad(Tensor::full(parameter.shape(), 2));
    EXPECT_EQ(parameter.value().device(), device());
    EXPECT_THAT(parameter.value().to_vector<float>(), Each(4));
    EXPECT_THAT(parameter.grad().to_vector<float>(), Each(3));
  }
}

}  // namespace
}  // namespace gpucnn
