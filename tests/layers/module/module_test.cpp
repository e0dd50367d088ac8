#include <gpucnn/layers/module/module.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>

#include "close.h"
#include "layers/layers.h"
#include "layers/module/net.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

auto wrong_order(const std::string& message) { return ThrowsMessage<std::logic_error>(HasSubstr(message)); }

class ModuleTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ModuleTest, devices(), device_name);

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
