#include <gpucnn/optim/parameter_group.h>

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/sgd.h>

#include "device_test.h"
#include "misuse.h"
#include "optim/parameters.h"

namespace gpucnn {
namespace {

class ParameterGroupTest : public DeviceTest {
 protected:
  void step(Optimizer& optimizer, std::vector<Parameter>& parameters, unsigned seed) {
    for (Parameter& parameter : parameters) set_grad(parameter, seed);
    optimizer.step();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ParameterGroupTest, devices(), device_name);

TEST_P(ParameterGroupTest, EachIsUpdatedWithItsOwnOptions) {
  const SGDOptions options[] = {{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, {.lr = 0.3}};
  std::vector<Parameter> parameters = packed({{3, 4}, {4}, {2, 2}}, device()), alone = packed({{3, 4}, {4}, {2, 2}}, device());
  SGD grouped({{{parameters[0], parameters[2]}, options[0]}, {{parameters[1]}, options[1]}});
  SGD first({alone[0], alone[2]}, options[0]), second({alone[1]}, options[1]);
  for (unsigned seed = 0; seed < 3; ++seed) {
    step(grouped, parameters, seed);
    for (Parameter& parameter : alone) set_grad(parameter, seed);
    first.step();
    second.step();
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(values(parameters[i]), values(alone[i])) << i;
  EXPECT_EQ(grouped.groups(), 2U);
  EXPECT_EQ(grouped.parameters(), (std::vector<Parameter>{parameters[0], parameters[2], parameters[1]}));
}

TEST_P(ParameterGroupTest, RateAndMomentumOfOneGroupCanChange) {
  std::vector<Parameter> parameters = packed({{3, 4}, {4}}, device()), alone = packed({{3, 4}, {4}}, device());
  Adam grouped({{{parameters[0]}, {.lr = 0.1}}, {{parameters[1]}, {.lr = 0.1}}});
  Adam first({alone[0]}, {.lr = 0.1}), second({alone[1]}, {.lr = 0.2, .betas = {0.5, 0.999}});
  grouped.set_lr(1, 0.2);
  grouped.set_momentum(1, 0.5);
  EXPECT_EQ(grouped.lr(), 0.1);
  EXPECT_EQ(grouped.lr(1), 0.2);
  EXPECT_EQ(grouped.momentum(), 0.9);
  EXPECT_EQ(grouped.momentum(1), 0.5);
  step(grouped, parameters, 1);
  for (Parameter& parameter : alone) set_grad(parameter, 1);
  first.step();
  second.step();
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(values(parameters[i]), values(alone[i])) << i;
  grouped.set_lr(0.7);
  EXPECT_EQ(grouped.lr(0), 0.7);
  EXPECT_EQ(grouped.lr(1), 0.7);
}

TEST(ParameterGroup, BiasesAndNormsAreNotDecayed) {
  const std::vector<Parameter> p = packed({{3, 4}, {4}, {2, 3, 1, 1}, {}});
  const auto groups = no_decay_on_biases_and_norms(p, AdamOptions{.lr = 0.5, .weight_decay = 0.1});
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].parameters, (std::vector<Parameter>{p[0], p[2]}));
  EXPECT_EQ(groups[1].parameters, (std::vector<Parameter>{p[1], p[3]}));
  EXPECT_EQ(groups[0].options.weight_decay, 0.1);
  EXPECT_EQ(groups[1].options.weight_decay, 0);
  EXPECT_EQ(groups[1].options.lr, 0.5);
  EXPECT_EQ(no_decay_on_biases_and_norms(p, MuonOptions{})[1].options.adamw.weight_decay, 0) << "AdamW has these";
}

TEST(ParameterGroup, AGroupMayBeEmptyButNotAll) {
  const std::vector<Parameter> p = packed({{3, 4}});
  EXPECT_EQ(Adam(no_decay_on_biases_and_norms(p, AdamOptions{})).groups(), 2U);
  EXPECT_THAT([] { Adam(std::vector<ParameterGroup<AdamOptions>>(2)); }, misuse("Optimizer: there are no parameters"));
  EXPECT_THAT([&] { Adam({{p, {}}, {p, {}}}); }, misuse("parameter 0 is given twice"));
}

TEST(ParameterGroup, RefusesMoreThanACapturedStepHasRoomFor) {
  const std::vector<Parameter> p = packed(std::vector<Shape>(9, Shape{1}));
  std::vector<ParameterGroup<SGDOptions>> groups;
  for (const Parameter& parameter : p) groups.push_back({{parameter}, {}});
  EXPECT_THAT([&] { SGD{groups}; }, misuse("Optimizer: has 9 groups of parameters, may have 8"));
  groups.pop_back();
  EXPECT_EQ(SGD(groups).groups(), 8U);
}

TEST(ParameterGroup, RefusesNumbersOfGroupsThatAreNotThereAndBadOnes) {
  const std::vector<Parameter> p = packed({{3, 4}});
  Adam adam(p);
  EXPECT_THAT([&] { adam.lr(1); }, misuse("Optimizer: there is no group 1, only 1"));
  EXPECT_THAT([&] { adam.set_lr(1, 0.1); }, misuse("there is no group 1"));
  EXPECT_THAT([&] { adam.set_momentum(1, 0.1); }, misuse("there is no group 1"));
  EXPECT_THAT([&] { adam.set_momentum(0, 1); }, misuse("invalid betas.first: 1"));
  EXPECT_EQ(adam.momentum(), 0.9);
  EXPECT_THROW(SGD(p).momentum(), std::logic_error);
  EXPECT_THROW(SGD(p).set_momentum(0, 0.9), std::logic_error);
  SGD sgd(p, {.momentum = 0.9, .nesterov = true});
  EXPECT_THAT([&] { sgd.set_momentum(0, -1); }, misuse("invalid momentum: -1"));
  EXPECT_THAT([&] { sgd.set_momentum(0, 0); }, misuse("invalid momentum for nesterov: 0"));
  EXPECT_THAT([&] { Adam({{p, {}}, {{}, {.lr = std::nan("")}}}); }, misuse("invalid lr: nan"));
}

}  // namespace
}  // namespace gpucnn
