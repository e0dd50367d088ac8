#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/gpucnn.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class HooksTest : public LayerTest {
 protected:
  void SetUp() override {
    LayerTest::SetUp();
    if (!IsSkipped()) model.init(1).to(device());
  }
  Sequential model{{"features", Sequential{Conv2d(2, 3, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2)}},
                   {"head", Sequential{Flatten(), Linear(12, 5), ReLU(), Dropout(0.3)}}};
};
INSTANTIATE_TEST_SUITE_P(Devices, HooksTest, devices(), device_name);

TEST_P(HooksTest, SeeWhatGoesInAndComesOut) {
  const Tensor x = random_tensor({2, 2, 4, 4}, 1), dy = random_tensor({2, 5}, 2);
  const std::vector<float> plain = values(model(x));
  model.backward(dy);
  const std::vector<float> plain_grad = values(model.at<Conv2d>("features.0").weight().grad());
  model.zero_grad();
  model.set_random_step(0);

  std::vector<std::string> calls;
  Tensor conv_y, relu_x, conv_dy, relu_dx;
  const auto note = [&](const char* what, Tensor& of_x, Tensor& of_y) {
    return [&, what](const Module& module, const Tensor& first, const Tensor& second) {
      calls.push_back(what + (" " + module.label()));
      of_x = first;
      of_y = second;
    };
  };
  Tensor unused;
  model.at("features.0").register_forward_hook(note("forward", unused, conv_y));
  model.at("features.1").register_forward_hook(note("forward", relu_x, unused));
  model.at("features.0").register_full_backward_hook(note("backward", unused, conv_dy));
  model.at("features.1").register_full_backward_hook(note("backward", relu_dx, unused));
  model.at("head").register_forward_hook(note("forward", unused, unused));
  model.at("head").register_full_backward_hook(note("backward", unused, unused));
  expect_close(values(model(x)), as_doubles(plain), kSum);
  model.backward(dy);
  EXPECT_THAT(calls, ElementsAre("forward features.0 Conv2d", "forward features.1 ReLU", "forward head Sequential",
                                 "backward head Sequential", "backward features.1 ReLU", "backward features.0 Conv2d"));
  EXPECT_EQ(conv_y.shape(), (Shape{2, 3, 4, 4}));
  EXPECT_EQ(values(conv_y), values(relu_x));
  EXPECT_EQ(values(conv_dy), values(relu_dx));
  expect_close(values(model.at<Conv2d>("features.0").weight().grad()), as_doubles(plain_grad), kSum);
}

TEST_P(HooksTest, AreCalledInPredictAndWhereALayerIsTheModel) {
  int calls = 0;
  model.at("features.2").register_forward_hook([&](const Module&, const Tensor&, const Tensor&) { ++calls; });
  const Tensor x = random_tensor({2, 2, 4, 4}, 1);
  model.predict(x);
  EXPECT_EQ(calls, 1);
  model.at("features").predict(x);
  EXPECT_EQ(calls, 2);
  model.at("features.2").predict(x);
  EXPECT_EQ(calls, 3);
}

TEST_P(HooksTest, GiveTheGradientOfXOnlyWhereItIsComputed) {
  bool defined = true;
  model.at("features.0").register_full_backward_hook([&](const Module&, const Tensor& dx, const Tensor&) {
    defined = dx.defined();
  });
  const Tensor x = random_tensor({2, 2, 4, 4}, 1), dy = random_tensor({2, 5}, 2);
  model(x);
  model.backward(dy);
  EXPECT_FALSE(defined);
  model.set_input_grad(true);
  model(x);
  model.backward(dy);
  EXPECT_TRUE(defined);
}

TEST_P(HooksTest, AreRemovedByTheirNumber) {
  int first = 0, second = 0;
  Module& layer = model.at("features.0");
  const int one = layer.register_forward_hook([&](const Module&, const Tensor&, const Tensor&) { ++first; });
  const int two = layer.register_forward_hook([&](const Module&, const Tensor&, const Tensor&) { ++second; });
  EXPECT_TRUE(model.has_hooks());
  const Tensor x = random_tensor({2, 2, 4, 4}, 1);
  model.predict(x);
  layer.remove_hook(one);
  model.predict(x);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
  EXPECT_THAT([&] { layer.remove_hook(one); }, misuse("features.0 Conv2d: has no hook number " + std::to_string(one)));
  EXPECT_FALSE(model.clone()->has_hooks());
  layer.remove_hook(two);
  EXPECT_FALSE(model.has_hooks());
  EXPECT_THAT([&] { model.register_forward_hook({}); }, misuse("Sequential: a hook must be callable, got an empty function"));
}

TEST_P(HooksTest, MustNotChangeTheModelThatCallsThem) {
  Module& layer = model.at("features.0");
  layer.register_forward_hook([&](const Module&, const Tensor&, const Tensor&) { layer.remove_hook(1); });
  EXPECT_THAT(
      [&] {
        model.predict(random_tensor({2, 2, 4, 4}, 1));
      },
      ThrowsMessage<std::logic_error>(HasSubstr("another call of the same model is under way")));
}

TEST_P(HooksTest, EndWithTheFirstLayerThatLearns) {
  int frozen = 0;
  model.at("features").requires_grad(false);
  model.at("features.1").register_full_backward_hook([&](const Module&, const Tensor&, const Tensor&) { ++frozen; });
  model(random_tensor({2, 2, 4, 4}, 1));
  model.backward(random_tensor({2, 5}, 2));
  EXPECT_EQ(frozen, 0);
  EXPECT_TRUE(model.at<Linear>("head.1").weight().has_grad());
}

}  // namespace
}  // namespace gpucnn
