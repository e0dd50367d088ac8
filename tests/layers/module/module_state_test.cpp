#include <gpucnn/layers/module/module.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "float_environments.h"
#include "layers/layers.h"
#include "layers/module/net.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class ModuleState : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ModuleState, devices(), device_name);

TEST(Module, NamesParametersByTheirPathsInMemberOrder) {
  Net net;
  EXPECT_EQ(names(net.parameters()), kNetNames);
  EXPECT_EQ(net.fc.weight().name(), "fc.weight");
  EXPECT_EQ(net.label(), "Net");
  EXPECT_EQ(net.fc.label(), "fc Linear");
  EXPECT_EQ(net.block.body.at("1").label(), "block.body.1 ReLU");
  EXPECT_EQ(net.kind(), "Net");
}

TEST(Module, AnyUseNamesAndDrawsTheParameters) {
  const auto drawn = [](auto use) {
    Net net;
    EXPECT_FALSE(net.fc.weight().has_value());
    use(net);
    return net.fc.weight().has_value() && net.fc.weight().name() == "fc.weight";
  };
  EXPECT_TRUE(drawn([](Net& net) { net(Tensor::zeros({1, 4})); }));
  EXPECT_TRUE(drawn([](Net& net) { net.predict(Tensor::zeros({1, 4})); }));
  EXPECT_TRUE(drawn([](Net& net) { net.parameters(); }));
  EXPECT_TRUE(drawn([](Net& net) { net.state_dict(); }));
  EXPECT_TRUE(drawn([](Net& net) { net.summary({1, 4}); }));
  EXPECT_TRUE(drawn([](Net& net) { net.device(); }));
}

TEST_P(ModuleState, InitDrawsParameterNumberIFromItsOwnStream) {
  Net net;
  net.to(device());
  net.init(7);
  const std::vector<Parameter> parameters = net.parameters();
  for (std::size_t i = 0; i < 4; ++i) {
    const RandomStream random(7, Purpose::weights, static_cast<std::uint32_t>(i));
    const std::vector<float> weight = values(parameters[i].value());
    const float bound = 0.5F;  // 1 / sqrt(4)
    for (std::size_t e = 0; e < weight.size(); ++e) ASSERT_EQ(weight[e], -bound + 2 * bound * random.uniform(e)) << i;
  }
  EXPECT_THAT(values(parameters[4].value()), Each(1));
}

TEST(Module, SeedsAreReproducibleAndDiffer) {
  Net a, b, c, untouched;
  a.init(3);
  b.init(3);
  c.init(4);
  EXPECT_EQ(all_values(a), all_values(b));
  EXPECT_NE(all_values(a), all_values(c));
  EXPECT_EQ(all_values(untouched), all_values(c.init(0)));
}

TEST_P(ModuleState, InitDrawsWhereTheValuesLie) {
  Net net;
  net.to(device());
  const StateDict state = net.state_dict();
  const std::vector<float> before = values(state.at("fc.weight"));
  net.init(9);
  EXPECT_EQ(values(state.at("fc.weight")), values(net.fc.weight().value()));
  EXPECT_NE(values(state.at("fc.weight")), before);
}

TEST_P(ModuleState, InitOfASubmoduleLeavesTheRestAndTheTreeAlone) {
  Net net;
  net.to(device());
  net.init(1);
  const std::vector<float> block = all_values(net.block);
  Linear lone(4, 2);
  lone.init(5);
  net.fc.init(5);
  EXPECT_EQ(all_values(net.fc), all_values(lone));
  EXPECT_EQ(all_values(net.block), block);
  EXPECT_EQ(names(net.parameters()), kNetNames);
  net.predict(zeros({1, 4}));  // still the root of all, so that nothing is kept
  EXPECT_THROW(net.fc.backward(zeros({1, 2})), std::logic_error);
}

TEST_P(ModuleState, TiedParametersAreOneUnderTheirFirstName) {
  Tied tied;
  tied.to(device());
  EXPECT_EQ(names(tied.parameters()), std::vector<std::string>{"first.weight"});
  EXPECT_THAT(tied.summary({1, 3}), HasSubstr("Total parameters: 3\n"));
  std::vector<std::string> saved;
  for (const auto& [name, tensor] : tied.state_dict()) saved.push_back(name);
  EXPECT_THAT(saved, ElementsAre("first.weight", "first.forwards", "second.weight", "second.forwards"));
  tied(full({1, 3}, 2));
  tied.backward(full({1, 3}, 1));
  // y = w w x, so dw = 2 w x.
  EXPECT_THAT(values(tied.parameters()[0].grad()), Each(4));
}

TEST_P(ModuleState, StateDictSharesMemoryWithParametersAndBuffers) {
  Net net;
  net.to(device());
  const StateDict state = net.state_dict();
  ASSERT_EQ(state.size(), 6U);
  EXPECT_EQ(state.at("fc.weight").bytes(), net.fc.weight().value().bytes());
  EXPECT_EQ(state.at("scale.forwards").bytes(), net.scale.forwards.bytes());
  net(zeros({1, 4}));
  EXPECT_EQ(state.at("scale.forwards").item(), 1);
}

TEST_P(ModuleState, StateOfASubmoduleIsNamedFromThere) {
  Net net;
  net.to(device());
  EXPECT_EQ(net.block.state_dict().begin()->first, "body.0.weight");
  Net other;
  other.init(8);
  net.block.load_state_dict(other.block.state_dict());
  EXPECT_EQ(all_values(net.block), all_values(other.block));
}

TEST_P(ModuleState, LoadsValuesBeforeAndAfterTheFirstUse) {
  Net source;
  source.init(11).to(device());
  source(zeros({1, 4}));
  Net fresh, used;
  used.init(1);
  const Tensor held = used.fc.weight().value();
  for (Net* net : {&fresh, &used}) {
    net->load_state_dict(source.state_dict());  // from one device to the other
    EXPECT_EQ(all_values(*net), all_values(source));
    EXPECT_EQ(net->scale.forwards.item(), source.scale.forwards.item());
  }
  EXPECT_EQ(used.fc.weight().value().bytes(), held.bytes());
  for (Net* net : {&fresh, &used}) {
    net->to(device());
    EXPECT_EQ(values(net->predict(random_tensor({2, 4}, 1))), values(source.predict(random_tensor({2, 4}, 1))));
  }
  Net copy = std::move(fresh);
  EXPECT_EQ(all_values(copy), all_values(source));
}

/// All entries but `left_out`, and one of another name if `added`.
StateDict changed(const StateDict& state, const std::string& left_out, const std::string& added) {
  StateDict copy;
  for (const auto& [name, tensor] : state) {
    if (name != left_out) copy.add(name, tensor);
  }
  if (!added.empty()) copy.add(added, Tensor::zeros({1}));
  return copy;
}

TEST(Module, StrictLoadingWantsTheSameNames) {
  Net net, source;
  net.init(1);
  source.init(2);
  const std::vector<float> before = all_values(net);
  EXPECT_THAT([&] { net.load_state_dict(changed(source.state_dict(), "fc.bias", "fc.scale")); },
              misuse("load_state_dict: missing fc.bias; unexpected fc.scale"));
  EXPECT_THAT([&] { net.load_state_dict(changed(source.state_dict(), "fc.bias", "")); },
              ThrowsMessage<std::invalid_argument>("load_state_dict: missing fc.bias"));
  EXPECT_THAT([&] { net.load_state_dict(changed(source.state_dict(), "", "more")); },
              ThrowsMessage<std::invalid_argument>("load_state_dict: unexpected more"));
  EXPECT_EQ(all_values(net), before);
  const std::vector<float> bias = values(net.fc.bias().value());
  const IncompatibleKeys keys = net.load_state_dict(changed(source.state_dict(), "fc.bias", "more"), /*strict=*/false);
  EXPECT_THAT(keys.missing_keys, ElementsAre("fc.bias"));
  EXPECT_THAT(keys.unexpected_keys, ElementsAre("more"));
  EXPECT_EQ(values(net.fc.weight().value()), values(source.fc.weight().value()));
  EXPECT_EQ(values(net.fc.bias().value()), bias);
}

TEST(Module, LoadingSaysWhichPrefixWouldFit) {
  Net net, source;
  net.init(1);
  source.init(2);
  const StateDict wrapped = source.state_dict().with_prefix("module.");
  EXPECT_THAT([&] { net.load_state_dict(wrapped); },
              ThrowsMessage<std::invalid_argument>(
                  "load_state_dict: missing block.body.0.weight, block.body.0.bias, fc.weight, fc.bias, scale.weight and 1 more; "
                  "unexpected module.block.body.0.weight, module.block.body.0.bias, module.fc.weight, module.fc.bias, "
                  "module.scale.weight and 1 more; the names fit after without_prefix(\"module.\")"));
  EXPECT_THAT([&] { net.load_state_dict(changed(wrapped, "module.fc.bias", "")); },
              misuse("; 5 of 6 names fit after without_prefix(\"module.\") with strict = false"));
  const IncompatibleKeys none = net.load_state_dict(wrapped, /*strict=*/false);
  EXPECT_EQ(none.missing_keys.size(), 6U);
  EXPECT_EQ(none.unexpected_keys.size(), 6U);
  EXPECT_NE(all_values(net), all_values(source));
  EXPECT_TRUE(net.load_state_dict(wrapped.without_prefix("module.")).empty());
  EXPECT_EQ(all_values(net), all_values(source));
}

TEST(Module, AWrongShapeChangesNothingStrictOrNot) {
  Net net, source;
  net.init(1);
  source.init(2);
  const std::vector<float> before = all_values(net);
  StateDict wide = changed(source.state_dict(), "scale.weight", "");
  wide.add("scale.weight", Tensor::zeros({3}));
  StateDict bytes = changed(source.state_dict(), "scale.weight", "");
  bytes.add("scale.weight", Tensor::zeros({3}, DType::u8));
  StateDict none = changed(source.state_dict(), "scale.weight", "");
  none.add("scale.weight", Tensor());
  for (const bool strict : {true, false}) {
    EXPECT_THAT([&] { net.load_state_dict(wide, strict); }, misuse("load_state_dict: scale.weight must be f32 [2], got f32 [3]"));
    EXPECT_THAT([&] { net.load_state_dict(bytes, strict); }, misuse("scale.weight must be f32 [2], got u8 [3]"));
    EXPECT_THAT([&] { net.load_state_dict(none, strict); }, misuse("scale.weight must be f32 [2], got an undefined tensor"));
  }
  EXPECT_EQ(all_values(net), before);
}

TEST(Module, WhatIsF32TakesEveryDTypeRounded) {
  Net net, source;
  net.init(1);
  source.init(2);
  const auto load = [&](const Tensor& values) {
    StateDict state = changed(source.state_dict(), "scale.weight", "");
    state.add("scale.weight", values);
    net.load_state_dict(state);
    return net.scale.weight.value().to_vector<float>();
  };
  Tensor halves = Tensor::empty({2}, DType::bf16);
  halves.data<bf16>()[0] = {0x3FC0};
  halves.data<bf16>()[1] = {0x8001};  // subnormal
  EXPECT_THAT(load(Tensor::from(std::vector<std::uint8_t>{0, 255}, {2})), ElementsAre(0.0F, 255.0F));
  EXPECT_THAT(load(halves), ElementsAre(1.5F, -0x1p-133F));
  for (const CallersEnvironment& environment : callers_environments()) {
    std::vector<float> from_i32, from_i64;
    {
      const ForcedFloatEnvironment callers(environment);
      from_i32 = load(Tensor::from(std::vector{(1 << 24) + 1, -((1 << 24) + 3)}, {2}));
      from_i64 = load(Tensor::from(std::vector<std::int64_t>{(std::int64_t{1} << 53) + 1, std::int64_t{1} << 40}, {2}));
    }
    EXPECT_THAT(from_i32, ElementsAre(0x1p24F, -0x1.000004p24F)) << environment.name;
    EXPECT_THAT(from_i64, ElementsAre(0x1p53F, 0x1p40F)) << environment.name;
  }
  EXPECT_EQ(net.fc.weight().value().to_vector<float>(), source.fc.weight().value().to_vector<float>());
}

TEST_P(ModuleState, TakesEveryDTypeFromAnyDeviceWhereItIsF32) {
  Net net, source;
  net.init(1).to(device());
  source.init(2);
  for (const Device from : {Device::cpu(), device()}) {
    StateDict state = changed(source.state_dict(), "scale.weight", "");
    state.add("scale.weight", Tensor::from(std::vector<std::int64_t>{-3, 1 << 20}, {2}, from));
    net.load_state_dict(state);
    EXPECT_THAT(net.scale.weight.value().to_vector<float>(), ElementsAre(-3.0F, 0x1p20F));
  }
}

}  // namespace
}  // namespace gpucnn
