#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/sgd.h>

#include "device_test.h"
#include "misuse.h"
#include "optim/parameters.h"

// The state of an optimizer: by name, and taken over by another run.
namespace gpucnn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

std::vector<std::string> names_of(const StateDict& state) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state) names.push_back(name);
  return names;
}

void step_with(Optimizer& optimizer, std::vector<Parameter>& parameters, unsigned seed) {
  for (Parameter& parameter : parameters) set_grad(parameter, seed);
  optimizer.step();
}

class OptimizerState : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerState, devices(), device_name);

TEST_P(OptimizerState, HasPyTorchsNamesAndTheParametersShapes) {
  std::vector<Parameter> parameters = packed({{2, 3}, {5}}, device());
  const Adam adam(parameters);
  EXPECT_THAT(names_of(adam.state_dict()),
              ElementsAre("exp_avg.0", "exp_avg.1", "exp_avg_sq.0", "exp_avg_sq.1", "step.0", "step.1"));
  EXPECT_EQ(adam.state_dict().at("exp_avg_sq.0").shape(), (Shape{2, 3}));
  EXPECT_EQ(adam.parameters(), parameters);
  const SGD momentum(parameters, {.momentum = 0.9}), plain(parameters);
  EXPECT_THAT(names_of(momentum.state_dict()), ElementsAre("momentum_buffer.0", "momentum_buffer.1", "step.0", "step.1"));
  EXPECT_THAT(names_of(plain.state_dict()), ElementsAre("step.0", "step.1"));
  EXPECT_THAT(names_of(RMSprop({parameters[1]}, {.momentum = 0.9, .centered = true}).state_dict()),
              ElementsAre("square_avg.1", "momentum_buffer.1", "grad_avg.1", "step.1"));
  EXPECT_THAT(names_of(Muon(parameters).state_dict()),
              ElementsAre("momentum_buffer.0", "exp_avg.1", "exp_avg_sq.1", "step.0", "step.1"));
}

TEST_P(OptimizerState, AnotherOptimizerGoesOnWithIt) {
  const auto test = [&](auto make) {
    std::vector<Parameter> parameters = packed({{2, 3}, {5}}, device()), others = packed({{2, 3}, {5}}, device());
    auto one = make(parameters), other = make(others);
    for (unsigned step = 0; step < 3; ++step) step_with(one, parameters, step);
    EXPECT_EQ(one.steps(), 3);
    for (std::size_t i = 0; i < parameters.size(); ++i) others[i].set_value(parameters[i].value());
    other.load_state_dict(one.state_dict());
    EXPECT_EQ(other.steps(), 3);
    step_with(one, parameters, 7);
    step_with(other, others, 7);
    for (std::size_t i = 0; i < parameters.size(); ++i) EXPECT_EQ(values(parameters[i]), values(others[i]));
    EXPECT_EQ(other.state_dict().at("step.1").template to_vector<std::int64_t>(), std::vector<std::int64_t>{4});
  };
  test([](const auto& p) { return Adam(p, {.lr = 0.1}); });
  test([](const auto& p) { return Adam(p, {.lr = 0.1, .betas = {0.5, 0.5}, .amsgrad = true}); });
  test([](const auto& p) { return RMSprop(p, {.lr = 0.1, .alpha = 0.8, .eps = 0.1, .momentum = 0.5, .centered = true}); });
  test([](const auto& p) { return Muon(p, {.lr = 0.1, .adamw = {.lr = 0.1}}); });
}

TEST_P(OptimizerState, RefusesAnotherOptimizersAndChangesNothing) {
  std::vector<Parameter> parameters = packed({{2, 3}}, device()), wide = packed({{3, 3}}, device());
  Adam adam(parameters, {.lr = 0.1});
  step_with(adam, parameters, 1);
  const std::vector<float> before = adam.state_dict().at("exp_avg.0").to_vector<float>();
  EXPECT_THAT([&] { adam.load_state_dict(Adam(wide).state_dict()); },
              misuse("Optimizer::load_state_dict: exp_avg.0 must be f32 [2, 3], got f32 [3, 3]"));
  EXPECT_THAT([&] { adam.load_state_dict(SGD(parameters).state_dict()); },
              misuse("Optimizer::load_state_dict: missing exp_avg.0, exp_avg_sq.0"));
  StateDict more = Adam(parameters).state_dict();
  more.add("lr", Tensor::zeros({1}));
  EXPECT_THAT([&] { adam.load_state_dict(more); }, misuse("Optimizer::load_state_dict: unexpected lr"));
  EXPECT_THAT([&] { adam.load_state_dict(adam.state_dict().with_prefix("optimizer.")); },
              misuse("; the names fit after without_prefix(\"optimizer.\")"));
  EXPECT_THAT([&] { adam.load_state_dict(more.with_prefix("optimizer.")); },
              ThrowsMessage<std::invalid_argument>(Not(HasSubstr("strict"))));
  StateDict negative;
  for (const auto& [name, tensor] : adam.state_dict()) {
    const std::int64_t steps[] = {-1};
    negative.add(name, name == "step.0" ? Tensor::from(steps, {1}) : tensor);
  }
  EXPECT_THAT([&] { adam.load_state_dict(negative); }, misuse("a count of steps is negative"));
  EXPECT_EQ(adam.state_dict().at("exp_avg.0").to_vector<float>(), before);
  EXPECT_EQ(adam.steps(), 1);
}

TEST_P(OptimizerState, TellsParametersOfOneNameApart) {
  std::vector<Parameter> all = packed({{2}}, device()), others = packed({{2}}, device());
  all.push_back(others[0]);
  Adam adam(all, {.lr = 0.1});
  step_with(adam, all, 1);
  const StateDict state = adam.state_dict();
  EXPECT_THAT(names_of(state), ElementsAre("exp_avg.0", "exp_avg.0#1", "exp_avg_sq.0", "exp_avg_sq.0#1", "step.0", "step.0#1"));
  step_with(adam, all, 2);
  adam.load_state_dict(state);
  EXPECT_EQ(adam.steps(), 1);
  EXPECT_EQ(adam.state_dict().at("exp_avg.0#1").to_vector<float>(), state.at("exp_avg.0#1").to_vector<float>());
}

TEST_P(OptimizerState, CountsStepsThatWereMadeWithoutIt) {
  std::vector<Parameter> parameters = packed({{3}, {2}}, device());
  Adam adam(parameters);
  set_grad(parameters[0], 1);
  adam.count_steps(2);
  EXPECT_EQ(adam.steps(), 2);
  EXPECT_EQ(adam.state_dict().at("step.0").to_vector<std::int64_t>().front(), 2);
  EXPECT_EQ(adam.state_dict().at("step.1").to_vector<std::int64_t>().front(), 0) << "has no gradient";
  adam.count_steps(-1);
  EXPECT_EQ(adam.steps(), 1);
  EXPECT_EQ(adam.state_dict().at("step.0").to_vector<std::int64_t>().front(), 1);
}

}  // namespace
}  // namespace gpucnn
