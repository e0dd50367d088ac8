#include <gpucnn/layers/module/module.h>

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>

#include "close.h"
#include "float_environments.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

auto wrong_order(const std::string& message) { return ThrowsMessage<std::logic_error>(HasSubstr(message)); }

/// body.0 is a Linear(4, 4), behind it a ReLU; then a Linear(4, 2) and a Scale.
struct Net : Module {
  Added<Sequential> block{Sequential{Linear(4, 4), ReLU()}};
  Linear fc{4, 2};
  Scale scale{2};

  Shape output_shape(const Shape& x) const override { return shape_of(scale, shape_of(fc, shape_of(block, x))); }
  Tensor forward(const Tensor& x, Context& context) const override { return scale(fc(block(x, context), context), context); }
  Tensor gradients(const Tensor& dy, Context& context) override {
    return block.backward(fc.backward(scale.backward(dy, context), context), context);
  }
  void members(Members& m) override {
    m("block", block);
    m("fc", fc);
    m("scale", scale);
  }
};

/// Two layers that share one weight.
struct Tied : Module {
  Scale first{3}, second{3};

  Tied() { second.weight = first.weight; }
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override { return second(first(x, context), context); }
  Tensor gradients(const Tensor& dy, Context& context) override { return first.backward(second.backward(dy, context), context); }
  void members(Members& m) override {
    m("first", first);
    m("second", second);
  }
};

class ModuleTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ModuleTest, devices(), device_name);

const std::vector<std::string> kNetNames{"block.body.0.weight", "block.body.0.bias", "fc.weight", "fc.bias", "scale.weight"};

// ---- names and values ------------------------------------------------------------------------------------------------------

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

TEST_P(ModuleTest, InitDrawsParameterNumberIFromItsOwnStream) {
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

TEST_P(ModuleTest, InitDrawsWhereTheValuesLie) {
  Net net;
  net.to(device());
  const StateDict state = net.state_dict();
  const std::vector<float> before = values(state.at("fc.weight"));
  net.init(9);
  EXPECT_EQ(values(state.at("fc.weight")), values(net.fc.weight().value()));
  EXPECT_NE(values(state.at("fc.weight")), before);
}

TEST_P(ModuleTest, InitOfASubmoduleLeavesTheRestAndTheTreeAlone) {
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

TEST_P(ModuleTest, TiedParametersAreOneUnderTheirFirstName) {
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

// ---- state -----------------------------------------------------------------------------------------------------------------

TEST_P(ModuleTest, StateDictSharesMemoryWithParametersAndBuffers) {
  Net net;
  net.to(device());
  const StateDict state = net.state_dict();
  ASSERT_EQ(state.size(), 6U);
  EXPECT_EQ(state.at("fc.weight").bytes(), net.fc.weight().value().bytes());
  EXPECT_EQ(state.at("scale.forwards").bytes(), net.scale.forwards.bytes());
  net(zeros({1, 4}));
  EXPECT_EQ(state.at("scale.forwards").item(), 1);
}

TEST_P(ModuleTest, StateOfASubmoduleIsNamedFromThere) {
  Net net;
  net.to(device());
  EXPECT_EQ(net.block.state_dict().begin()->first, "body.0.weight");
  Net other;
  other.init(8);
  net.block.load_state_dict(other.block.state_dict());
  EXPECT_EQ(all_values(net.block), all_values(other.block));
}

TEST_P(ModuleTest, LoadsValuesBeforeAndAfterTheFirstUse) {
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

TEST_P(ModuleTest, TakesEveryDTypeFromAnyDeviceWhereItIsF32) {
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

// ---- modes -----------------------------------------------------------------------------------------------------------------

TEST(Module, TrainAndEvalSetTheWholeTree) {
  Net net;
  EXPECT_TRUE(net.training());
  net.eval();
  EXPECT_FALSE(net.training());
  EXPECT_FALSE(net.block.body.at("1").training());
  net.block.train();
  EXPECT_FALSE(net.training());
  EXPECT_TRUE(net.block.body.at("1").training());
  net.train();
  EXPECT_TRUE(net.fc.training());
}

/// Tells the mode its forward saw.
struct Witness : Module {
  mutable bool saw_training = false, saw_keeps = false;
  bool fails = false;
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override {
    saw_training = context.training();
    saw_keeps = context.keeps();
    if (fails) throw std::runtime_error("no more");
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
};

TEST(Module, PredictEvaluatesAndRestoresEveryMode) {
  Sequential model{{"a", Witness()}, {"frozen", Witness()}};
  auto &a = model.at<Witness>("a"), &frozen = model.at<Witness>("frozen");
  frozen.eval();
  const auto expect_modes = [&](const char* when) {
    SCOPED_TRACE(when);
    EXPECT_TRUE(model.training());
    EXPECT_TRUE(a.training());
    EXPECT_FALSE(frozen.training());
  };
  model.predict(Tensor::zeros({1}));
  EXPECT_FALSE(a.saw_training || a.saw_keeps || frozen.saw_training || frozen.saw_keeps);
  expect_modes("after predict");
  model(Tensor::zeros({1}));
  EXPECT_TRUE(a.saw_training && a.saw_keeps && frozen.saw_keeps);
  EXPECT_FALSE(frozen.saw_training);
  a.fails = true;
  EXPECT_THROW(model.predict(Tensor::zeros({1})), std::runtime_error);
  expect_modes("after a predict that threw");
  a.fails = false;
  model(Tensor::zeros({1}));
  EXPECT_TRUE(a.saw_training && a.saw_keeps);
}

TEST_P(ModuleTest, PredictLeavesWhatAForwardKept) {
  Net net;
  net.to(device());
  const Tensor x = random_tensor({3, 4}, 1), dy = random_tensor({3, 2}, 2);
  net(x);
  const std::vector<float> expected = values(net.backward(dy)), grads = all_grads(net);
  net.zero_grad();
  net(x);
  net.predict(random_tensor({5, 4}, 3));
  EXPECT_EQ(values(net.backward(dy)), expected);
  EXPECT_EQ(all_grads(net), grads);
}

TEST_P(ModuleTest, BackwardWorksInEvalMode) {
  Net net;
  net.to(device());
  net.eval();
  net(zeros({1, 4}));
  EXPECT_NO_THROW(net.backward(zeros({1, 2})));
}

TEST_P(ModuleTest, ALayerForTheCpuSaysSoOnAGpu) {
  // As the layer of docs/programs.md.
  struct Halve : Module {
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context&) const override {
      Tensor y = Tensor::empty(x.shape());
      for (std::int64_t i = 0; i < x.numel(); ++i) y.data<float>()[i] = x.data<float>()[i] / 2;
      return y;
    }
    Tensor gradients(const Tensor& dy, Context& context) override { return forward(dy, context); }
  };
  Halve halve;
  halve.to(device());
  const Tensor x = full({3}, 4);
  if (device() == Device::cpu()) {
    EXPECT_THAT(values(halve(x)), Each(2));
  } else {
    EXPECT_THAT([&] { halve(x); }, misuse("to(Device::cpu())"));
  }
}

// ---- the order of calls ----------------------------------------------------------------------------------------------------

TEST_P(ModuleTest, ABackwardNeedsAForwardOfItsOwn) {
  Net net;
  net.to(device());
  const Tensor dy = zeros({1, 2});
  EXPECT_THAT([&] { net.fc.backward(dy); }, wrong_order("Linear: backward without a forward before it"));
  net.predict(zeros({1, 4}));
  EXPECT_THAT([&] { net.fc.backward(dy); },
              wrong_order("fc Linear: backward without a forward before it; each forward serves one backward"));
  net(zeros({1, 4}));
  net.backward(dy);
  EXPECT_THAT([&] { net.fc.backward(dy); }, wrong_order("fc Linear: backward without"));
}

TEST_P(ModuleTest, AModuleServesOncePerForward) {
  struct Twice : Module {
    Linear fc{3, 3};
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context& context) const override { return fc(fc(x, context), context); }
    Tensor gradients(const Tensor& dy, Context&) override { return dy; }
    void members(Members& m) override { m("fc", fc); }
  } twice;
  twice.to(device());
  EXPECT_THAT([&] { twice(zeros({1, 3})); }, wrong_order("fc Linear: used twice in one forward"));
  EXPECT_THAT([&] { twice(zeros({1, 3})); }, wrong_order("fc Linear: used twice in one forward"));
  EXPECT_NO_THROW(twice.predict(zeros({1, 3})));
}

TEST_P(ModuleTest, ResultsNeverChangeWhileTheyAreHeld) {
  Net net;
  net.to(device());
  const Tensor a = net(random_tensor({2, 4}, 1));
  const std::vector<float> a_values = values(a);
  const Tensor b = net(random_tensor({2, 4}, 2));
  const Tensor dx = net.backward(full({2, 2}, 1));
  const std::vector<float> b_values = values(b), dx_values = values(dx);
  EXPECT_NE(a_values, b_values);
  for (unsigned i = 3; i < 6; ++i) {
    net(random_tensor({2, 4}, i));
    net.backward(random_tensor({2, 2}, i));
    net.predict(random_tensor({2, 4}, i));
  }
  EXPECT_EQ(values(a), a_values);
  EXPECT_EQ(values(b), b_values);
  EXPECT_EQ(values(dx), dx_values);
}

TEST_P(ModuleTest, TheLastForwardIsTheOneThatBackwardServes) {
  Net net;
  net.to(device());
  const Tensor x = random_tensor({2, 4}, 2), dy = random_tensor({2, 2}, 3);
  net(x);
  const std::vector<float> expected = values(net.backward(dy));
  net(random_tensor({5, 4}, 1));
  net(x);
  EXPECT_EQ(values(net.backward(dy)), expected);
}

TEST_P(ModuleTest, GradientsAddUpUntilTheyAreForgotten) {
  Net net;
  net.to(device());
  const auto pass = [&] {
    net(random_tensor({2, 4}, 1));
    net.backward(random_tensor({2, 2}, 2));
  };
  for (const Parameter& parameter : net.parameters()) EXPECT_FALSE(parameter.has_grad());
  pass();
  const std::vector<float> once = all_grads(net);
  EXPECT_THAT(once, Not(Each(0)));
  pass();
  std::vector<double> twice(once.begin(), once.end());
  for (double& value : twice) value *= 2;
  expect_close(all_grads(net), twice, kPointwise);
  net.zero_grad();
  for (const Parameter& parameter : net.parameters()) EXPECT_FALSE(parameter.has_grad());
  pass();
  EXPECT_EQ(all_grads(net), once);
}

TEST_P(ModuleTest, AFailedForwardDoesNotStandInTheWay) {
  Sequential model{Witness(), Linear(2, 2)};
  model.to(device());
  model.at<Witness>("0").fails = true;
  EXPECT_THROW(model(zeros({1, 2})), std::runtime_error);
  model.at<Witness>("0").fails = false;
  EXPECT_NO_THROW(model(zeros({1, 2})));
  EXPECT_NO_THROW(model.backward(zeros({1, 2})));
}

// ---- the gradient of the input ---------------------------------------------------------------------------------------------

TEST_P(ModuleTest, TheInputsGradientIsComputedUnlessForASequentialThatIsTheRoot) {
  const Tensor x = full({1, 4}, 1), dy = full({1, 2}, 1);
  Linear lone(4, 2);
  lone.to(device());
  lone(x);
  EXPECT_TRUE(lone.backward(dy).defined());
  Net net;  // whose block holds a Sequential
  net.to(device());
  net(x);
  EXPECT_TRUE(net.backward(dy).defined());
  EXPECT_TRUE(net.block.body.input_grad());
  Sequential root{Linear(4, 2)};
  root.to(device());
  EXPECT_FALSE(root.input_grad());
  root(x);
  EXPECT_FALSE(root.backward(dy).defined());
  EXPECT_FALSE(root.at<Linear>("0").input_grad());
  root.set_input_grad(true);
  root(x);
  const Tensor dx = root.backward(dy);
  ASSERT_TRUE(dx.defined());
  root.init(3);
  EXPECT_TRUE(root.input_grad());
  lone.set_input_grad(false);
  lone(x);
  EXPECT_FALSE(lone.backward(dy).defined());
}

// ---- moving ----------------------------------------------------------------------------------------------------------------

TEST_P(ModuleTest, MovesWithItsParametersStateAndKeptValues) {
  Net net;
  net.to(device());
  net.init(2);
  const Tensor x = random_tensor({2, 4}, 1), dy = random_tensor({2, 2}, 2);
  const std::vector<float> y = values(net(x));
  const std::vector<Parameter> parameters = net.parameters();
  Net moved = std::move(net);
  moved.backward(dy);
  EXPECT_TRUE(parameters[0].has_grad());
  EXPECT_EQ(moved.parameters(), parameters);
  EXPECT_EQ(values(moved(x)), y);
  Net assigned;
  assigned.to(device())(x);
  assigned = std::move(moved);
  EXPECT_EQ(values(assigned.predict(x)), y);
  EXPECT_EQ(assigned.parameters(), parameters);
}

/// Every way to use it throws.
template <class Net>
void expect_unusable(Net& net, const Tensor& x) {
  EXPECT_THROW(net.predict(x), std::logic_error);
  EXPECT_THROW(net(x), std::logic_error);
  EXPECT_THROW(net.parameters(), std::logic_error);
  EXPECT_THROW(net.state_dict(), std::logic_error);
  EXPECT_THROW(net.load_state_dict({}), std::logic_error);
  EXPECT_THROW(net.init(1), std::logic_error);
  EXPECT_THROW(net.to(Device::cpu()), std::logic_error);
  EXPECT_THROW(net.device(), std::logic_error);
  EXPECT_THROW(net.eval(), std::logic_error);
  EXPECT_THROW(net.zero_grad(), std::logic_error);
  EXPECT_THROW(net.summary(x.shape()), std::logic_error);
}

TEST_P(ModuleTest, WhatWasMovedFromThrowsUntilSomethingIsMovedIntoIt) {
  for (const bool used : {false, true}) {
    Sequential net{Linear(3, 3), ReLU()};
    net.to(device());
    const Tensor x = random_tensor({2, 3}, 1);
    if (used) net(x);
    Sequential moved = std::move(net);
    expect_unusable(net, x);
    EXPECT_THROW(net.output_shape(x.shape()), std::logic_error);
    EXPECT_THROW(net.backward(x), std::logic_error);
    const std::vector<float> y = values(moved.predict(x));
    net = std::move(moved);
    expect_unusable(moved, x);
    EXPECT_EQ(values(net.predict(x)), y);
    auto& itself = net;
    net = std::move(itself);
    EXPECT_EQ(values(net.predict(x)), y);
  }
}

TEST(Module, MessagesEscapeTheNamesOfLayers) {
  Sequential net{{"a\x1b[31m", Sequential{Linear(3, 2)}}};
  EXPECT_THAT([&] { net.predict(Tensor::zeros({1, 4})); }, misuse("a\\x1b[31m.0 Linear: expects 3 input features"));
  EXPECT_THAT([&] { net.at("x\x1b"); }, misuse("there is no module 'x\\x1b'"));
  EXPECT_THAT(([] { return Sequential{{"b\x1b.", ReLU()}, {"c", ReLU()}}; }), misuse("'b\\x1b.'"));
}

TEST_P(ModuleTest, ALayerThatWasMovedFromThrows) {
  const Tensor x = random_tensor({2, 4}, 1);
  ReLU relu;
  Sequential net{Linear(4, 4), std::move(relu)};
  net.to(device());
  expect_unusable(relu, x);
  EXPECT_THROW((Sequential{Linear(4, 4), std::move(relu)}), std::logic_error);
  net.predict(x);
  ReLU taken = std::move(net.at<ReLU>("1"));
  EXPECT_THROW(net.predict(x), std::logic_error);
  EXPECT_THROW(net(x), std::logic_error);
}

TEST_P(ModuleTest, MovesToADeviceAndBackWithItsHandlesStateAndGradients) {
  Net net;
  const Tensor x = gpucnn::random_tensor({2, 4}, 1), dy = gpucnn::random_tensor({2, 2}, 2);
  const std::vector<double> y = as_doubles(values(net(x))), dx = as_doubles(values(net.backward(dy)));
  const std::vector<double> grads = as_doubles(all_grads(net));
  const std::vector<float> weights = all_values(net);
  const std::vector<Parameter> parameters = net.parameters();

  net.to(device());
  EXPECT_EQ(net.device(), device());
  EXPECT_EQ(net.parameters(), parameters);
  EXPECT_EQ(parameters[0].value().device(), device());
  EXPECT_EQ(net.scale.forwards.device(), device());
  EXPECT_EQ(all_values(net), weights);
  expect_close(all_grads(net), grads, kSameValue);
  net.zero_grad();
  expect_close(values(net(x.to(device()))), y, kSum);
  expect_close(values(net.backward(dy.to(device()))), dx, kSum);
  expect_close(all_grads(net), grads, kSum);
  EXPECT_EQ(net.scale.forwards.item(), 2);

  net.to(Device::cpu()).zero_grad();
  expect_close(values(net(x)), y, kSameValue);
  expect_close(values(net.backward(dy)), dx, kSameValue);
  expect_close(all_grads(net), grads, kSameValue);
}

TEST_P(ModuleTest, RefusesAnInputOnAnotherDevice) {
  if (device().kind == Device::Kind::cpu) return;
  Net net;
  EXPECT_THAT([&] { net(zeros({1, 4})); }, misuse("Net: the input is on cuda:0, the model on cpu"));
  net.to(device());
  EXPECT_THAT([&] { net(Tensor::zeros({1, 4})); }, misuse("Net: the input is on cpu, the model on cuda:0"));
}

// ---- words -----------------------------------------------------------------------------------------------------------------

TEST_P(ModuleTest, RefusesAnInputThatIsNoneOrNotF32) {
  Net net;
  net.to(device());
  const auto call = [&](const Tensor& x) { return [&net, x] { net(x); }; };
  EXPECT_THAT(call(Tensor()), misuse("Net: the input is undefined"));
  EXPECT_THAT(call(zeros({1, 4}, DType::u8)), misuse("Net: expects an f32 input, got u8"));
  EXPECT_THAT([&] { net.predict(Tensor()); }, misuse("Net: the input is undefined"));
}

TEST_P(ModuleTest, NamesTheLayerThatAShapeDoesNotFitBeforeAnyWork) {
  Net net;
  net.to(device());
  EXPECT_THAT(
      [&] {
        net(zeros({1, 5}));
      },
      ThrowsMessage<std::invalid_argument>("block.body.0 Linear: expects 4 input features, got 5"));
  EXPECT_THAT([&] { net.predict(zeros({4})); }, misuse("block.body.0 Linear: expects [N, 4], got [4]: add a batch dimension"));
  EXPECT_EQ(net.scale.forwards.item(), 0);
}

TEST_P(ModuleTest, NamesTheLayerWhoseGradientHasAnotherShape) {
  Net net;
  net.to(device());
  net(zeros({1, 4}));
  EXPECT_THAT(
      [&] {
        net.fc.backward(zeros({1, 3}));
      },
      misuse("fc Linear: backward expects an f32 gradient of [1, 2], got f32 [1, 3]"));
  EXPECT_THAT([&] { net.fc.backward(zeros({1, 2}, DType::i32)); }, misuse("got i32 [1, 2]"));
  EXPECT_THAT([&] { net.fc.backward(Tensor()); },
              misuse("fc Linear: backward expects an f32 gradient of [1, 2], got an undefined tensor"));
  EXPECT_NO_THROW(net.backward(zeros({1, 2})));
}

TEST(Module, SummaryOfAContainerOfAnotherFlowIsOneLine) {
  Net net;
  EXPECT_EQ(net.summary({7, 4}),
            "Net on [7, 4]\n"
            "Layer  Kind  Output shape  Parameters\n"
            "       Net   [7, 2]                32\n"
            "Total parameters: 32\n");
}

}  // namespace
}  // namespace gpucnn
