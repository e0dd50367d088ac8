#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/optim/sgd.h>

#include "close.h"
#include "layers/layers.h"

// Frozen parts of a model: what they keep, and what is not computed for them.
namespace gpucnn {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FreezeTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, FreezeTest, devices(), device_name);

/// [N, 3, 6, 6] -> [N, 4].
Sequential network() {
  return Sequential{{"body", Sequential{Conv2d(3, 4, {.kernel_size = 3, .padding = 1}), BatchNorm2d(4), ReLU(), Dropout2d(0.5),
                                        Residual(Sequential{Conv2d(4, 4, {.kernel_size = 1}), BatchNorm2d(4)}), Dropout(0.5)}},
                    {"pool", Sequential{AdaptiveAvgPool2d(1), Flatten()}},
                    {"head", Sequential{Dropout(0.5), Linear(4, 4)}}};
}

std::vector<std::vector<float>> state_of(Module& module) {
  std::vector<std::vector<float>> all;
  for (const auto& [name, tensor] : module.state_dict()) {
    if (tensor.dtype() == DType::f32) all.push_back(values(tensor));
  }
  return all;
}

TEST_P(FreezeTest, FrozenPartsKeepWeightsAndStatisticsAndPassOnWhereDropoutStands) {
  Sequential model = network();
  model.init(1).to(device());
  const Tensor x = random_tensor({5, 3, 6, 6}, 1);
  model(x);  // statistics that are not those of the beginning
  Module& body = model.at("body");
  body.freeze();
  model.train();
  EXPECT_TRUE(body.frozen());
  EXPECT_FALSE(body.training());
  EXPECT_TRUE(model.training());
  EXPECT_TRUE(model.at("head.0").training());
  const auto frozen = state_of(body), head = state_of(model.at("head"));
  const std::vector<float> features = values(body.predict(x));
  SGD optimizer(model.parameters(), {.lr = 0.1, .weight_decay = 0.1});
  Tensor seen;
  body.register_forward_hook([&](const Module&, const Tensor&, const Tensor& y) { seen = y; });
  for (int step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    const Tensor y = model(x);
    expect_close(values(seen), as_doubles(features), {0, 1e-5});  // as in eval mode, where a prediction may fold the norm
    model.backward(y);
    optimizer.step();
  }
  EXPECT_EQ(state_of(body), frozen);
  EXPECT_EQ(body.state_dict().at("1.num_batches_tracked").to_vector<std::int64_t>(), std::vector<std::int64_t>{1});
  EXPECT_NE(state_of(model.at("head")), head);
}

TEST_P(FreezeTest, WhatIsLearnedAgainHasTheModeThatItWasTold) {
  Sequential model = network();
  model.to(device()).freeze();
  EXPECT_FALSE(model.at("head.0").training());
  model.freeze(false);
  EXPECT_FALSE(model.frozen());
  EXPECT_TRUE(model.training() && model.at("body.3").training());
  for (const Parameter& parameter : model.parameters()) EXPECT_TRUE(parameter.requires_grad()) << parameter.name();
  model.freeze().eval();
  EXPECT_FALSE(model.freeze(false).training());
  model.freeze().train();
  EXPECT_FALSE(model.training());
  EXPECT_TRUE(model.freeze(false).training());
}

TEST_P(FreezeTest, AReplacedHeadIsNotFrozenAndACloneIs) {
  Sequential model = network();
  model.to(device()).freeze();
  model.at<Linear>("head.1") = Linear(4, 2);
  const auto twin = model.clone();
  for (Module* each : {static_cast<Module*>(&model), twin.get()}) {
    EXPECT_TRUE(each->frozen() && each->at("body.4.body.1").frozen());
    EXPECT_FALSE(each->at("head.1").frozen());
    each->backward(each->operator()(random_tensor({3, 3, 6, 6}, 1)));
    std::vector<std::string> learned;
    for (const Parameter& parameter : each->parameters()) {
      if (parameter.has_grad()) learned.push_back(parameter.name());
    }
    EXPECT_THAT(learned, ElementsAre("head.1.weight", "head.1.bias"));
  }
  EXPECT_TRUE(twin->freeze(false).training()) << "the mode behind it is cloned, too";
}

TEST_P(FreezeTest, PartsMayBeFrozenWithoutTheirModes) {
  Sequential model = network();
  model.to(device());
  model.at("body").requires_grad(false);
  EXPECT_TRUE(model.at("body").training());
  const Parameter weight = model.at<Conv2d>("body.0").weight();
  const std::vector<float> before = values(weight.value());
  model(random_tensor({5, 3, 6, 6}, 1));
  EXPECT_EQ(model.state_dict().at("body.1.num_batches_tracked").to_vector<std::int64_t>(), std::vector<std::int64_t>{1});
  EXPECT_EQ(values(weight.value()), before);
}

// ---- what is computed ------------------------------------------------------------------------------------------------------

/// y = x + bias with one learned number; writes each call of `gradients` to a list: its name, and "x" if it must return dx.
class Counted : public Module {
 public:
  Counted(std::string name, std::vector<std::string>& calls) : name_(std::move(name)), calls_(calls) {}
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override { return x; }
  Tensor gradients(const Tensor& dy, Context& context) override {
    calls_.push_back(name_ + (context.input_grad() ? " x" : ""));
    if (bias.requires_grad()) bias.accumulate_grad(Tensor::full({1}, 1, dy.device()));
    return context.input_grad() ? dy : Tensor{};
  }
  void members(Members& m) override { m("bias", bias); }
  Parameter bias{{1}, Init::constant(0)};

 private:
  std::string name_;
  std::vector<std::string>& calls_;
};

/// stem, layer1 to layer3 of two blocks each, fc; a block is a Residual of two layers, the first with a shortcut.
Sequential residual_network(std::vector<std::string>& calls) {
  const auto block = [&](const std::string& name, bool projects) -> Residual {
    Sequential body{Counted(name + ".1", calls), Counted(name + ".2", calls)};
    return projects ? Residual(std::move(body), Counted(name + ".s", calls)) : Residual(std::move(body));
  };
  const auto layer = [&](const std::string& name) { return Sequential{block(name + "a", true), block(name + "b", false)}; };
  return Sequential{{"stem", Counted("stem", calls)},
                    {"layer1", layer("1")},
                    {"layer2", layer("2")},
                    {"layer3", layer("3")},
                    {"fc", Counted("fc", calls)}};
}

class FrozenWorkTest : public LayerTest {
 protected:
  void SetUp() override {
    LayerTest::SetUp();
    if (!IsSkipped()) model.to(device());
  }
  /// What the backward of a forward calls.
  std::vector<std::string> backward() {
    const Tensor x = full({2, 2}, 1);
    calls.clear();
    model.zero_grad();
    model.backward(model(x));
    return calls;
  }
  std::vector<std::string> calls;
  Sequential model = residual_network(calls);
};
INSTANTIATE_TEST_SUITE_P(Devices, FrozenWorkTest, devices(), device_name);

TEST_P(FrozenWorkTest, NothingIsComputedBeforeTheFirstLayerThatLearns) {
  EXPECT_EQ(backward().size(), 17U);
  for (const char* part : {"stem", "layer1", "layer2"}) model.at(part).freeze();
  EXPECT_THAT(backward(), ElementsAre("fc x", "3b.2 x", "3b.1 x", "3a.2 x", "3a.1", "3a.s")) << "no gradient for layer2's output";
  model.at("layer3").freeze();
  EXPECT_THAT(backward(), ElementsAre("fc"));
  model.freeze();
  EXPECT_THAT(backward(), IsEmpty());
  model.freeze(false);
  EXPECT_EQ(backward().size(), 17U);
}

TEST_P(FrozenWorkTest, AFrozenBranchHasNoBackwardUnlessSomethingBeforeItLearns) {
  model.freeze();
  model.at("layer3.0.shortcut").requires_grad(true);
  EXPECT_THAT(backward(), ElementsAre("fc x", "3b.2 x", "3b.1 x", "3a.s"));
  model.requires_grad(false);
  model.at("layer3.0.body.1").requires_grad(true);
  EXPECT_THAT(backward(), ElementsAre("fc x", "3b.2 x", "3b.1 x", "3a.2"));
  model.at("stem").requires_grad(true);
  EXPECT_EQ(backward().size(), 17U) << "gradients go through all that is frozen";
  EXPECT_TRUE(model.at<Counted>("stem").bias.has_grad());
  EXPECT_FALSE(model.at<Counted>("layer1.0.shortcut").bias.has_grad());
}

TEST_P(FrozenWorkTest, TheGradientOfXIsComputedWhereItIsWanted) {
  model.set_input_grad(true);
  model.freeze();
  EXPECT_EQ(backward().size(), 17U);
  model.set_input_grad(false);
  EXPECT_THAT(backward(), IsEmpty());
}

/// The same layers that learn have the same gradients, however much before them is frozen: joined layers too.
TEST_P(FreezeTest, GradientsAreThoseOfTheWholeModel) {
  const auto make = [&] {
    Sequential model{{"a", Sequential{Conv2d(3, 4, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2)}},
                     {"b", Sequential{Conv2d(4, 8, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2), Flatten()}},
                     {"c", Sequential{Linear(32, 6), ReLU(), Linear(6, 4)}}};
    model.init(3).to(device());
    return model;
  };
  const Tensor x = random_tensor({3, 3, 8, 8}, 1);
  Sequential whole = make();
  whole.backward(whole(x));
  for (const char* last : {"a.0", "b.0", "c.0"}) {
    SCOPED_TRACE(last);
    Sequential model = make();
    for (const std::string part : {"a.0", "b.0", "c.0"}) {
      model.at(part).freeze();
      if (part == last) break;
    }
    EXPECT_FALSE(model.backward(model(x)).defined());
    for (std::size_t i = 0; i < model.parameters().size(); ++i) {
      const Parameter parameter = model.parameters()[i];
      ASSERT_EQ(parameter.has_grad(), parameter.requires_grad()) << parameter.name();
      if (!parameter.has_grad()) continue;
      EXPECT_EQ(values(parameter.grad()), values(whole.parameters()[i].grad())) << parameter.name();
    }
  }
}

/// Convolutions that run together on the CPU, of images too large for its cache: each then has a pass of its own.
TEST_P(FreezeTest, JoinedLayersOfLargeImagesLeaveOutWhatIsFrozenBeforeThem) {
  const auto make = [&] {
    Sequential model{Conv2d(3, 32, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2),
                     Conv2d(32, 4, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2)};
    model.init(3).to(device());
    return model;
  };
  Sequential whole = make(), model = make();
  model.at("0").freeze();
  const Tensor x = random_tensor({1, 3, 128, 128}, 1), dy = random_tensor({1, 4, 32, 32}, 2);
  for (Sequential* each : {&whole, &model}) {
    for (int step = 0; step < 2; ++step) {
      each->zero_grad();
      each->operator()(x);
      each->backward(dy);
    }
  }
  EXPECT_EQ(values(model.at<Conv2d>("3").weight().grad()), values(whole.at<Conv2d>("3").weight().grad()));
  EXPECT_FALSE(model.at<Conv2d>("0").weight().has_grad());
}

}  // namespace
}  // namespace gpucnn
