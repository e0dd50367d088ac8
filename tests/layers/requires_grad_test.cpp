#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/train_step.h>

#include "layers/layers.h"

namespace gpucnn {
namespace {

class RequiresGradTest : public LayerTest {
 protected:
  Sequential model() const {
    Sequential made{{"features", Sequential{Conv2d(3, 8, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2), Flatten()}},
                    {"middle", Linear(8 * 4 * 4, 6)},
                    {"head", Sequential{ReLU(), Linear(6, 4)}}};
    made.to(device());
    return made;
  }
  std::vector<std::string> learned(Module& module) const {
    std::vector<std::string> all;
    for (const Parameter& parameter : module.parameters()) {
      if (parameter.has_grad()) all.push_back(parameter.name());
    }
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, RequiresGradTest, devices(), device_name);

TEST_P(RequiresGradTest, FrozenPartsHaveNoGradientsAndTheOthersTheSame) {
  Sequential whole = model(), frozen = model();
  frozen.at("features").requires_grad(false);
  frozen.at<Linear>("middle").bias().requires_grad(false);
  const Tensor x = random_tensor({2, 3, 8, 8}, 1);
  for (Sequential* each : {&whole, &frozen}) {
    const Tensor y = each->operator()(x);
    EXPECT_FALSE(each->backward(y).defined());
  }
  EXPECT_EQ(learned(frozen), (std::vector<std::string>{"middle.weight", "head.1.weight", "head.1.bias"}));
  EXPECT_EQ(values(frozen.at<Linear>("middle").weight().grad()), values(whole.at<Linear>("middle").weight().grad()));
  EXPECT_EQ(values(frozen.at<Linear>("head.1").bias().grad()), values(whole.at<Linear>("head.1").bias().grad()));
}

TEST_P(RequiresGradTest, TheGradientOfXStillGoesThroughFrozenLayers) {
  Sequential whole = model(), frozen = model();
  frozen.requires_grad(false);
  const Tensor x = random_tensor({2, 3, 8, 8}, 1);
  std::vector<std::vector<float>> dx;
  for (Sequential* each : {&whole, &frozen}) {
    each->set_input_grad(true);
    dx.push_back(values(each->backward(each->operator()(x))));
  }
  EXPECT_EQ(dx[0], dx[1]);
  EXPECT_TRUE(learned(frozen).empty());
}

TEST_P(RequiresGradTest, AnOptimizerLeavesFrozenPartsAloneUntilTheyAreLearnedAgain) {
  Sequential network = model();
  network.at("features").requires_grad(false);
  Adam optimizer(network.parameters());
  TrainStep step(network, optimizer);
  const Batch batch{random_tensor({2, 3, 8, 8}, 1), Tensor::from(std::vector<std::int32_t>{1, 3}, {2}, device())};
  const Parameter conv = network.at<Conv2d>("features.0").weight(), head = network.at<Linear>("head.1").weight();
  const std::vector<float> conv_before = values(conv.value()), head_before = values(head.value());
  step(batch);
  EXPECT_EQ(values(conv.value()), conv_before);
  EXPECT_NE(values(head.value()), head_before);
  network.requires_grad(true);
  step(batch);
  EXPECT_NE(values(conv.value()), conv_before);
}

TEST_P(RequiresGradTest, FreezingForgetsTheGradient) {
  Linear linear(2, 2);
  linear.to(device());
  linear.backward(linear(random_tensor({1, 2}, 1)));
  Parameter weight = linear.weight();
  EXPECT_TRUE(weight.has_grad());
  weight.requires_grad(false);
  EXPECT_FALSE(weight.requires_grad());
  EXPECT_FALSE(weight.has_grad());
  weight.accumulate_grad(full({2, 2}, 1));
  EXPECT_FALSE(weight.has_grad());
}

}  // namespace
}  // namespace gpucnn
