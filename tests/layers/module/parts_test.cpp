#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/optim/sgd.h>

#include "layers/layers.h"
#include "misuse.h"
#include "pretended_bf16.h"

// Parts of a model that are replaced, exchanged, or forgotten in `members`.
namespace gpucnn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class PartsTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, PartsTest, devices(), device_name);

TEST_P(PartsTest, AReplacedLayerJoinsTheModel) {
  Sequential model{{"body", Sequential{Linear(3, 4), ReLU()}}, {"head", Linear(4, 2)}};
  model.init(1).to(device());
  const Tensor x = random_tensor({2, 3}, 1);
  model(x);
  const std::vector<float> body = values(model.at<Linear>("body.0").weight().value());
  model.at<Linear>("head") = Linear(4, 5);
  EXPECT_EQ(model(x).shape(), (Shape{2, 5}));
  EXPECT_THAT(names(model.parameters()), ElementsAre("body.0.weight", "body.0.bias", "head.weight", "head.bias"));
  EXPECT_EQ(values(model.at<Linear>("body.0").weight().value()), body) << "what was learned stays";
  EXPECT_EQ(model.at<Linear>("head").weight().value().device(), device());
  model.backward(random_tensor({2, 5}, 2));
  SGD optimizer(model.parameters(), {.lr = 0.1});
  const std::vector<float> head = values(model.at<Linear>("head").weight().value());
  optimizer.step();
  EXPECT_NE(values(model.at<Linear>("head").weight().value()), head);
}

TEST_P(PartsTest, AReplacedSequentialRunsItsOwnLayers) {
  Sequential model{{"body", Sequential{Linear(2, 2, {.bias = false}), ReLU()}}};
  model.to(device());
  const Tensor x = tensor<float>({-1, 2}, {1, 2});
  model.predict(x);
  model.at<Sequential>("body") = Sequential{Flatten()};
  EXPECT_EQ(values(model.predict(x)), (std::vector<float>{-1, 2}));
  EXPECT_TRUE(model.parameters().empty());
}

TEST_P(PartsTest, ABackwardAfterAChangeThrows) {
  const Tensor x = random_tensor({1, 2}, 1), dy = random_tensor({1, 2}, 2);
  const auto changed = ThrowsMessage<std::logic_error>(HasSubstr("backward after the model was changed"));
  Sequential model{{"a", Sequential{Linear(2, 2), ReLU()}}, {"b", Linear(2, 2)}};
  model.to(device());
  model(x);
  model.at<Sequential>("a") = Sequential{Linear(2, 2), ReLU()};
  EXPECT_THAT([&] { model.backward(dy); }, changed);
  model(x);
  model.to(Device::cpu());
  if (device() != Device::cpu()) {
    EXPECT_THAT([&] { model.backward(dy.to(Device::cpu())); }, changed);
  }
  model.to(device());
  model(x);
  EXPECT_NO_THROW(model.backward(dy));
}

TEST_P(PartsTest, ABackwardOfTheWholeNeedsTheForwardsOfItsParts) {
  Sequential model{{"a", Linear(2, 2)}, {"b", Linear(2, 2)}};
  model.to(device());
  const Tensor x = random_tensor({1, 2}, 1);
  model(x);
  model.at<Linear>("a")(random_tensor({1, 2}, 3));
  EXPECT_THAT(
      [&] {
        model.backward(random_tensor({1, 2}, 2));
      },
      ThrowsMessage<std::logic_error>(HasSubstr("a Linear: has had a forward of its own")));
}

TEST_P(PartsTest, AReplacedLayerHasValuesWhenItIsAskedFor) {
  Sequential model{Linear(2, 2), Linear(2, 3)};
  model.to(device()).predict(random_tensor({1, 2}, 1));
  model.at<Linear>("1") = Linear(2, 5);
  EXPECT_EQ(model.at<Linear>("1").weight().value().shape(), (Shape{5, 2}));
}

TEST_P(PartsTest, AReplacedHeadHasTheModelsPrecision) {
  const PretendedBf16 there;
  const auto make = [&](int features) {
    Sequential model{{"body", Linear(3, 4)}, {"fc", Linear(4, features)}};
    model.init(5).to(device()).set_precision(Precision::bf16);
    return model;
  };
  Sequential model = make(2), expected = make(5);
  const Tensor x = random_tensor({2, 3}, 1);
  model.backward(model(x));
  model.at<Linear>("fc") = Linear(4, 5);
  EXPECT_EQ(values(model(x)), values(expected(x))) << "drawn as the model's init would, and multiplied as bf16";
  EXPECT_EQ(model.precision(), Precision::bf16);
  EXPECT_EQ(model.parameter_memory().bf16_copies.numel(), expected.parameter_memory().bf16_copies.numel());
  EXPECT_NO_THROW(model.backward(random_tensor({2, 5}, 2)));
}

/// Any network hands out what is inside it: also one that is no Sequential, or whose class nobody knows any longer.
TEST_P(PartsTest, AHeadOfAnotherSizeIsReplacedInAnyNetwork) {
  struct Net : Module {
    Sequential body{{"block", Residual(Sequential{Linear(3, 3), ReLU()})}};
    Linear fc{3, 2};
    Shape output_shape(const Shape& x) const override { return shape_of(fc, shape_of(body, x)); }
    Tensor forward(const Tensor& x, Context& context) const override { return fc(body(x, context), context); }
    Tensor gradients(const Tensor& dy, Context& context) override { return body.backward(fc.backward(dy, context), context); }
    void members(Members& m) override {
      m("body", body);
      m("fc", fc);
    }
  };
  const std::unique_ptr<Module> model = std::make_unique<Net>();
  model->to(device());
  const Tensor x = random_tensor({2, 3}, 1);
  EXPECT_EQ(model->predict(x).shape(), (Shape{2, 2}));
  model->at<Linear>("fc") = Linear(3, 5);
  model->at<Linear>("body.block.body.0") = Linear(3, 3, {.bias = false});
  EXPECT_EQ((*model)(x).shape(), (Shape{2, 5}));
  EXPECT_THAT(names(model->parameters()), ElementsAre("body.block.body.0.weight", "fc.weight", "fc.bias"));
  EXPECT_NO_THROW(model->backward(random_tensor({2, 5}, 2)));
  const Module& whole = *model;
  EXPECT_EQ(whole.at<Linear>("fc").weight().shape(), (Shape{5, 3}));
  static_assert(!std::is_assignable_v<Module&, Linear>, "half a layer would be moved");
}

TEST(Parts, AWrongPathIsToldWhatThereIs) {
  Sequential model{{"conv1", ReLU()},
                   {"layer1", Sequential{Residual(Sequential{ReLU(), ReLU()}, Identity())}},
                   {"layer2", Sequential{ReLU(), ReLU(), ReLU(), ReLU(), ReLU(), ReLU(), ReLU()}},
                   {"fc", Linear(2, 2)}};
  const auto says = [&](const char* path, const std::string& message) {
    EXPECT_THAT([&] { model.at(path); }, ThrowsMessage<std::invalid_argument>("Sequential::at: there is no module " + message));
  };
  says("conv2", "'conv2'; did you mean 'conv1'?");
  says("layer1.0.bdy.1", "'layer1.0.bdy.1'; did you mean 'layer1.0.body'?");
  says("layer1.0.downsample", "'layer1.0.downsample'; layer1.0 has body, shortcut");
  says("layer2.7", "'layer2.7'; layer2 has 0, 1, 2, 3, 4 and 2 more");
  says("fc.weight", "'fc.weight'; fc has none inside");
  says("classifier", "'classifier'; the model has conv1, layer1, layer2, fc");
  says("", "''; the model has conv1, layer1, layer2, fc");
  says("fc.", "'fc.'; fc has none inside");
  says("layer1..0", "'layer1..0'; layer1 has 0");
  says("\x1b[2J", "'\\x1b[2J'; the model has conv1, layer1, layer2, fc");
  EXPECT_THAT([&] { model.at("layer1").at("0.boddy"); },
              ThrowsMessage<std::invalid_argument>("Sequential::at: there is no module '0.boddy'; did you mean '0.body'?"));
}

TEST_P(PartsTest, AModuleReportedTwiceIsRefused) {
  struct Twice : Module {
    Linear inner{2, 2};
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context& context) const override { return inner(x, context); }
    Tensor gradients(const Tensor& dy, Context&) override { return dy; }
    void members(Members& m) override {
      m("one", inner);
      m("two", inner);
    }
  } twice;
  EXPECT_THAT([&] { twice.parameters(); },
              ThrowsMessage<std::logic_error>(HasSubstr("Linear: is reported twice by members, as two")));
}

/// Computes its inner network again in its gradients, instead of keeping what that kept.
struct Recomputed : Module {
  Sequential inner{Dropout(0.5)};
  mutable std::vector<float> first, again;
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override {
    context.save(x);
    const Tensor y = inner(x, context);
    first = values(y);
    return y;
  }
  Tensor gradients(const Tensor& dy, Context& context) override {
    again = values(inner(context.saved(), context));
    return inner.backward(dy, context);
  }
  void members(Members& m) override { m("inner", inner); }
};

TEST_P(PartsTest, WhatGradientsComputeAgainDrawsTheSameNumbers) {
  Recomputed model;
  model.to(device());
  const Tensor x = random_tensor({64}, 1);
  for (int step = 0; step < 2; ++step) {
    model(x);
    EXPECT_EQ(values(model.backward(full({64}, 1))).size(), 64U);
    EXPECT_EQ(model.first, model.again);
  }
  EXPECT_EQ(model.random_step(), 2U);
}

TEST_P(PartsTest, PartsThatChangePlacesRunAndAreNamedInTheirNewOrder) {
  Sequential model{{"a", Sequential{Linear(1, 1, {.bias = false})}}, {"b", Sequential{ReLU()}}};
  model.to(device());
  model.at<Linear>("a.0").weight().set_value(full({1, 1}, -1));
  const Tensor x = full({1, 1}, 2);
  EXPECT_EQ(model.predict(x).item(), 0);
  std::swap(model.at<Sequential>("a"), model.at<Sequential>("b"));
  EXPECT_EQ(model.predict(x).item(), -2);
  EXPECT_THAT(names(model.parameters()), ElementsAre("b.0.weight"));
}

TEST_P(PartsTest, APartThatMembersForgetsIsNamed) {
  struct Forgets : Module {
    Linear inner{2, 2};
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context& context) const override { return inner(x, context); }
    Tensor gradients(const Tensor& dy, Context&) override { return dy; }
  } forgets;
  forgets.to(device());
  EXPECT_THAT(
      [&] {
        forgets(random_tensor({1, 2}, 1));
      },
      ThrowsMessage<std::logic_error>(HasSubstr("Linear: is no part of the model that calls it; `members` must report it")));
}

TEST_P(PartsTest, BackwardRefusesAGradientOnAnotherDevice) {
  if (device() == Device::cpu()) return;
  Linear linear(2, 2);
  linear.to(device());
  linear(random_tensor({1, 2}, 1));
  EXPECT_THAT(
      [&] {
        linear.backward(gpucnn::random_tensor({1, 2}, 2));
      },
      misuse("Linear: the gradient is on cpu, the model on cuda:0"));
  EXPECT_NO_THROW(linear.backward(random_tensor({1, 2}, 2)));
}

TEST_P(PartsTest, ALayerThatAsksForMoreThanItSavedIsNamed) {
  struct Greedy : Module {
    Shape output_shape(const Shape& x) const override { return x; }
    Tensor forward(const Tensor& x, Context& context) const override {
      context.save(x);
      return x;
    }
    Tensor gradients(const Tensor&, Context& context) override { return context.saved(1); }
  } greedy;
  greedy.to(device());
  const Tensor x = random_tensor({2}, 1);
  greedy(x);
  EXPECT_THAT([&] { greedy.backward(x); }, ThrowsMessage<std::logic_error>(HasSubstr("Greedy: asks for saved tensor 1 of 1")));
  EXPECT_THAT([&] { greedy.backward(x); }, ThrowsMessage<std::logic_error>(HasSubstr("backward without a forward")));
}

}  // namespace
}  // namespace gpucnn
