#include <gpucnn/layers/containers/residual_block.h>

#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/gradcheck.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

class ResidualBlockTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ResidualBlockTest, devices(), device_name);

ResidualBlock plain(int channels) {
  return ResidualBlock({{"conv1", Conv2d(channels, 4, {.kernel_size = 3, .padding = 1})},
                        {"relu", ReLU()},
                        {"conv2", Conv2d(4, channels, {.kernel_size = 1})}});
}

ResidualBlock projected(int in, int out) {
  return ResidualBlock(
      {{"conv1", Conv2d(in, out, {.kernel_size = 3, .stride = 2, .padding = 1, .bias = false})}, {"bn1", BatchNorm2d(out)}},
      {"downsample", Sequential{Conv2d(in, out, {.kernel_size = 1, .stride = 2, .bias = false})}});
}

TEST(ResidualBlock, HasFlatNames) {
  ResidualBlock block = projected(2, 3);
  EXPECT_EQ(names(block.parameters()), (std::vector<std::string>{"conv1.weight", "bn1.weight", "bn1.bias", "downsample.0.weight"}));
  EXPECT_EQ(names(ResidualBlock({Conv2d(2, 2, {.kernel_size = 1, .bias = false})}, Conv2d(2, 2, {.kernel_size = 1, .bias = false}))
                      .parameters()),
            (std::vector<std::string>{"0.weight", "shortcut.weight"}));
  EXPECT_EQ(Sequential{projected(2, 3)}.summary({1, 2, 4, 4}),
            "Sequential on [1, 2, 4, 4]\n"
            "Layer           Kind         Output shape  Parameters\n"
            "0.conv1         Conv2d       [1, 3, 2, 2]          54\n"
            "0.bn1           BatchNorm2d  [1, 3, 2, 2]           6\n"
            "0.downsample.0  Conv2d       [1, 3, 2, 2]           6\n"
            "Total parameters: 66\n");
}

// The same of parts whose names are nested: a Residual and a ReLU.
TEST_P(ResidualBlockTest, IsTheReluOfAResidual) {
  ResidualBlock block = plain(3);
  Sequential nested{{"block", Residual(Sequential{{"conv1", Conv2d(3, 4, {.kernel_size = 3, .padding = 1})},
                                                  {"relu", ReLU()},
                                                  {"conv2", Conv2d(4, 3, {.kernel_size = 1})}})},
                    ReLU()};
  StateDict state;
  for (const auto& [name, tensor] : block.init(2).state_dict()) state.add("block.body." + name, tensor);
  nested.load_state_dict(state);
  for (Module* module : {static_cast<Module*>(&block), static_cast<Module*>(&nested)}) module->to(device()).set_input_grad(true);
  const Tensor x = random_tensor({2, 3, 5, 5}, 1), dy = random_tensor({2, 3, 5, 5}, 2);
  EXPECT_EQ(values(block(x)), values(nested(x)));
  EXPECT_EQ(values(block.predict(x)), values(nested.predict(x)));
  EXPECT_EQ(values(block.backward(dy)), values(nested.backward(dy)));
  EXPECT_EQ(all_grads(block), all_grads(nested));
}

TEST_P(ResidualBlockTest, GradientsAreThoseOfTheDifferenceQuotients) {
  Sequential model{projected(2, 4), plain(4), Flatten(), Linear(16, 3)};
  model.init(1).to(device());
  const GradcheckResult result = gradcheck(model, {3, 2, 4, 4});
  EXPECT_GT(result.compared, 100);
  EXPECT_LT(result.skipped, result.compared / 4);
}

TEST_P(ResidualBlockTest, WhereNobodyWantsTheGradientOfXNoneIsGiven) {
  ResidualBlock block = projected(2, 3);
  block.to(device()).set_input_grad(false);
  EXPECT_FALSE(block.at("conv1").input_grad());
  EXPECT_TRUE(block.at("bn1").input_grad());
  EXPECT_FALSE(block.at("downsample").input_grad());
  EXPECT_FALSE(block.backward(block(random_tensor({2, 2, 4, 4}, 1))).defined());
  for (const Parameter& parameter : block.parameters()) EXPECT_TRUE(parameter.has_grad()) << parameter.name();
}

TEST_P(ResidualBlockTest, FrozenLayersBeforeTheFirstThatLearnsComputeNoGradientOfX) {
  ResidualBlock block = projected(2, 3);
  block.to(device()).set_input_grad(false);
  block.at("conv1").requires_grad(false);
  block.at("downsample").requires_grad(false);
  EXPECT_FALSE(block.backward(block(random_tensor({2, 2, 4, 4}, 1))).defined());
  EXPECT_FALSE(block.at("bn1").input_grad());
  for (const Parameter& parameter : block.parameters()) {
    EXPECT_EQ(parameter.has_grad(), parameter.name().starts_with("bn1")) << parameter.name();
  }
}

TEST_P(ResidualBlockTest, IsClonedAndMoved) {
  ResidualBlock block = projected(2, 3);
  block.init(3).to(device());
  const Tensor x = random_tensor({2, 2, 4, 4}, 1);
  const std::vector<float> y = values(block.predict(x));
  ResidualBlock twin = block.clone<ResidualBlock>();
  EXPECT_EQ(values(twin.predict(x)), y);
  const ResidualBlock moved = std::move(twin);
  EXPECT_EQ(values(moved.predict(x)), y);
}

TEST(ResidualBlock, RefusesWhatDoesNotFit) {
  EXPECT_THAT(
      [] {
        ResidualBlock({Conv2d(2, 3, {.kernel_size = 1})}).output_shape({1, 2, 4, 4});
      },
      misuse("the body makes [1, 3, 4, 4] of [1, 2, 4, 4], the shortcut [1, 2, 4, 4]; they must be equal to be added"));
  Sequential model{{"block", ResidualBlock({Conv2d(2, 2, {.kernel_size = 3})})}};
  EXPECT_THAT([&] { model(Tensor::zeros({1, 2, 4, 4})); }, misuse("block ResidualBlock: the body makes [1, 2, 2, 2]"));
  EXPECT_THAT([] { ResidualBlock({{"shortcut", ReLU()}}, ReLU()); }, misuse("ResidualBlock: there is already a child 'shortcut'"));
}

}  // namespace
}  // namespace gpucnn
