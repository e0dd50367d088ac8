#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/gpucnn.h>

#include "layers/layers.h"
#include "pretended_bf16.h"

namespace gpucnn {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class CloneTest : public LayerTest {
 protected:
  /// One step of training; the output.
  std::vector<float> step(Module& model, Optimizer& optimizer, const Tensor& x) {
    optimizer.zero_grad();
    const Tensor y = model(x);
    model.backward(y);
    optimizer.step();
    return values(y);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, CloneTest, devices(), device_name);

/// All layers that keep the shape [4, 6, 8, 8], and those that end in [4, 6].
Sequential every_layer() {
  std::vector<Child> layers;
  layers.emplace_back(Conv2d(6, 6, {.kernel_size = 3, .padding = Padding2d::same, .groups = 2}));
  layers.emplace_back(BatchNorm2d(6, {.momentum = std::nullopt}));
  layers.emplace_back(ReLU());
  layers.emplace_back(Residual(Sequential{{"a", Conv2d(6, 6, {.kernel_size = 1, .bias = false})}, {"b", LeakyReLU(0.3)}}));
  layers.emplace_back(Concat{Conv2d(6, 3, {.kernel_size = 1}), MaxPool2d({.kernel_size = 3, .stride = 1, .padding = 1})});
  layers.emplace_back(Conv2d(9, 6, {.kernel_size = 1}));
  layers.emplace_back(GroupNorm(3, 6, {.eps = 1e-3}));
  layers.emplace_back(ReLU6());
  layers.emplace_back(AvgPool2d({.kernel_size = 3, .stride = 1, .padding = 1, .count_include_pad = false}));
  layers.emplace_back(AdaptiveMaxPool2d(Size2(3, 2)));
  layers.emplace_back(AdaptiveAvgPool2d(1));
  layers.emplace_back(Upsample(2));
  layers.emplace_back(Dropout2d(0.1));
  layers.emplace_back(AdaptiveAvgPool2d(1));
  layers.emplace_back(Flatten());
  layers.emplace_back(Linear(6, 6));
  layers.emplace_back(GELU("tanh"));
  layers.emplace_back(SiLU());
  layers.emplace_back(Hardswish());
  layers.emplace_back(Sigmoid());
  layers.emplace_back(Tanh());
  layers.emplace_back(Identity());
  layers.emplace_back(Softmax());
  layers.emplace_back(Dropout(0.4));
  return Sequential(std::move(layers));
}

TEST_P(CloneTest, GoesOnAsTheOriginalDoes) {
  Sequential model = every_layer();
  model.init(3).to(device());
  model.at<Conv2d>("5").weight().requires_grad(false);
  const Tensor x = random_tensor({4, 6, 8, 8}, 1);
  SGD optimizer(model.parameters(), {.lr = 0.05});
  step(model, optimizer, x);
  Sequential twin = model.clone<Sequential>();
  EXPECT_EQ(twin.summary(x.shape()), model.summary(x.shape()));
  EXPECT_EQ(twin.device(), device());
  EXPECT_FALSE(twin.at<Conv2d>("5").weight().requires_grad());
  EXPECT_FALSE(twin.at<Linear>("15").weight().has_grad());
  SGD twins_optimizer(twin.parameters(), {.lr = 0.05});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(step(twin, twins_optimizer, x), step(model, optimizer, x)) << "step " << i;
  EXPECT_EQ(values(twin.predict(x)), values(model.predict(x))) << "the buffers of the normalization";
}

TEST_P(CloneTest, IsIndependent) {
  SimpleCNN model;
  model.init(1).to(device());
  model.eval();
  model.at("features").train();
  SimpleCNN twin = model.clone<SimpleCNN>();
  EXPECT_FALSE(twin.training());
  EXPECT_TRUE(twin.at("features.0").training());
  const std::vector<float> before = values(model.at<Linear>("classifier.4").weight().value());
  twin.init(2);
  EXPECT_EQ(values(model.at<Linear>("classifier.4").weight().value()), before);
  model.at<Linear>("classifier.4") = Linear(128, 3);
  EXPECT_EQ(model.clone()->output_shape({1, 3, 32, 32}), (Shape{1, 3})) << "of the layers that are there now";
}

TEST_P(CloneTest, OfAPartIsAModelOfItsOwn) {
  SimpleCNN model;
  model.init(1).to(device());
  Sequential part = model.at("classifier").clone<Sequential>();
  EXPECT_THAT(names(part.parameters()), testing::ElementsAre("1.weight", "1.bias", "4.weight", "4.bias"));
  const Tensor x = random_tensor({2, 32, 8, 8}, 1);
  const std::vector<float> expected = values(model.at("classifier").predict(x));
  EXPECT_EQ(values(part.predict(x)), expected);
  EXPECT_TRUE(model.at("features.0").clone()->input_grad()) << "as a Conv2d of its own";
}

TEST_P(CloneTest, KeepsThePrecision) {
  const PretendedBf16 there;
  const Precision precision = Precision::bf16;
  Sequential model{Linear(4, 3)};
  model.to(device()).set_precision(precision);
  EXPECT_EQ(model.clone()->precision(), precision);
  EXPECT_EQ(values(model.clone()->predict(full({1, 4}, 1))), values(model.predict(full({1, 4}, 1))));
}

/// A network that does not say how it is copied, and one that says it wrongly.
class Silent : public Sequential {
 public:
  Silent() : Sequential{Linear(2, 2)} {}
};
class Wrong : public Module {
 public:
  explicit Wrong(int size) : layer_(size, size) {}
  Shape output_shape(const Shape& x) const override { return layer_.output_shape(x); }
  Tensor forward(const Tensor& x, Context& context) const override { return layer_(x, context); }
  Tensor gradients(const Tensor& dy, Context& context) override { return layer_.backward(dy, context); }
  std::unique_ptr<Module> copy() const override { return std::make_unique<Wrong>(3); }
  void members(Members& m) override { m("layer", layer_); }

 private:
  Linear layer_;
};

TEST(Clone, NamesTheClassThatCannotBeCloned) {
  const auto refused = [](const char* text) { return ThrowsMessage<std::logic_error>(HasSubstr(text)); };
  EXPECT_THAT([] { Silent().clone(); }, refused("Silent: cannot be cloned: copy makes a Sequential; Silent must override it"));
  EXPECT_THAT(([] {
                Sequential{Flatten(), Scale(3)}.clone();
              }),
              refused("1 Scale: cannot be cloned: the class does not override copy"));
  EXPECT_THAT([] { Wrong(2).clone(); }, testing::Throws<std::invalid_argument>());
  EXPECT_NO_THROW(Wrong(3).clone());
  Sequential gone{Flatten()};
  const Sequential taken(std::move(gone));
  EXPECT_THAT([&] { gone.clone(); }, refused("was moved from"));  // NOLINT(bugprone-use-after-move): that is the question
}

}  // namespace
}  // namespace gpucnn
