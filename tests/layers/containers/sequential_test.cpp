#include <gpucnn/layers/containers/sequential.h>

#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using testing::ThrowsMessage;

// ---- names -----------------------------------------------------------------------------------------------------------------

TEST(Sequential, CallsItsChildrenByNumberOrByTheNamesGiven) {
  Sequential model{{"features", Sequential{Linear(4, 3), ReLU(), Linear(3, 2, {.bias = false})}}, Linear(2, 1)};
  EXPECT_EQ(model.size(), 2U);
  EXPECT_EQ(names(model.parameters()),
            (std::vector<std::string>{"features.0.weight", "features.0.bias", "features.2.weight", "1.weight", "1.bias"}));
}

TEST(Sequential, IsMadeOfAVectorAndGrows) {
  std::vector<Sequential::Child> layers;
  layers.emplace_back(Linear(4, 3));
  layers.emplace_back("act", ReLU());
  layers.emplace_back(std::unique_ptr<Module>(std::make_unique<Linear>(3, 2)));
  Sequential model(std::move(layers));
  const Parameter first = model.at<Linear>("0").weight();
  const std::vector<float> before = values(first.value());
  EXPECT_EQ(model(Tensor::zeros({1, 4})).shape(), (Shape{1, 2}));
  model.push_back(Linear(2, 5));
  model.push_back({"last", ReLU()});
  EXPECT_EQ(model(Tensor::zeros({1, 4})).shape(), (Shape{1, 5}));
  EXPECT_EQ(names(model.parameters()),
            (std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "3.bias"}));
  EXPECT_EQ(values(first.value()), before);
  EXPECT_THAT([&] { model.push_back({"act", ReLU()}); }, misuse("Sequential: there is already a child 'act'"));
  EXPECT_EQ(model.size(), 5U);
}

TEST(Sequential, ABackwardBehindPushBackIsRefused) {
  Sequential model{Linear(4, 3)};
  const Tensor y = model(Tensor::zeros({1, 4}));
  model.push_back(ReLU());
  EXPECT_THROW(model.backward(y), std::logic_error);
}

TEST(Sequential, RefusesNamesThatAreTakenOrHaveADot) {
  EXPECT_THAT([] { (Sequential{{"a", ReLU()}, {"a", ReLU()}}); }, misuse("Sequential: there is already a child 'a'"));
  EXPECT_THAT([] { (Sequential{{"1", ReLU()}, ReLU()}); }, misuse("Sequential: there is already a child '1'"));
  EXPECT_THAT([] { (Sequential{{"a.b", ReLU()}, ReLU()}); }, misuse("Sequential: the name 'a.b' must not have a dot in it"));
}

TEST(Sequential, AtFindsModulesByPathInContainersOfAnyKind) {
  Sequential model{{"features", Sequential{Linear(4, 4), ReLU()}}, {"block", Added<Linear>(Linear(4, 4))}};
  EXPECT_EQ(model.at<Linear>("features.0").weight().shape(), (Shape{4, 4}));
  EXPECT_EQ(model.at("features").kind(), "Sequential");
  EXPECT_EQ(model.at("features").label(), "features Sequential");
  EXPECT_EQ(model.at<Linear>("block.body").weight().name(), "block.body.weight");
  EXPECT_EQ(model.at<Sequential>("features").at("1").label(), "features.1 ReLU");
  EXPECT_THAT([&] { model.at<ReLU>("features.0"); }, misuse("Sequential::at: features.0 Linear is of another class"));
  EXPECT_THAT([&] { model.at("features.2"); }, misuse("Sequential::at: there is no module 'features.2'"));
  EXPECT_THAT([&] { model.at(""); }, misuse("there is no module ''"));
  EXPECT_THAT([&] { model.at("feature"); }, misuse("there is no module 'feature'"));
}

class SequentialTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SequentialTest, devices(), device_name);

TEST_P(SequentialTest, AnEmptyOneGivesWhatItGets) {
  Sequential model{};
  model.to(device());
  const Tensor x = random_tensor({2, 3}, 1);
  EXPECT_EQ(values(model(x)), values(x));
  EXPECT_FALSE(model.backward(x).defined());
  model.set_input_grad(true);
  model(x);
  EXPECT_EQ(values(model.backward(x)), values(x));
  EXPECT_TRUE(model.parameters().empty());
  EXPECT_EQ(model.summary({2, 3}), "Sequential on [2, 3]\nLayer  Kind  Output shape  Parameters\nTotal parameters: 0\n");
}

// ---- shapes ----------------------------------------------------------------------------------------------------------------

Sequential classifier() {
  return Sequential{{"features", Sequential{Conv2d(3, 32, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(4)}},
                    {"classifier", Sequential{Flatten(), Linear(2048, 10)}}};
}

TEST(Sequential, SaysWhichLayerAShapeDoesNotFitAndWhy) {
  Sequential model = classifier();
  const auto call = [&](const Shape& x) { return [&model, x] { model(Tensor::zeros(x)); }; };
  const auto says = [](const char* message) { return ThrowsMessage<std::invalid_argument>(message); };
  EXPECT_THAT(call({2, 3, 28, 28}), says("classifier.1 Linear: expects 2048 input features, got 1568 (Flatten of [N, 32, 7, 7])"));
  EXPECT_THAT(call({2, 1, 32, 32}), says("features.0 Conv2d: expects 3 input channels, got 1"));
  EXPECT_THAT(call({3, 32, 32}), says("features.0 Conv2d: expects [N, C, H, W], got [3, 32, 32]: add a batch dimension"));
  EXPECT_THAT(call({2, 3, 3, 3}),
              says("features.2 MaxPool2d: a window of 4x4 with padding 0x0 does not fit [2, 32, 3, 3] (ReLU of [N, 32, 3, 3])"));
  EXPECT_THAT(
      [&] {
        model.summary({2, 3, 28, 28});
      },
      says("classifier.1 Linear: expects 2048 input features, got 1568 (Flatten of [N, 32, 7, 7])"));
  EXPECT_EQ(model.output_shape({5, 3, 32, 32}), (Shape{5, 10}));
  EXPECT_EQ(model(Tensor::zeros({0, 3, 32, 32})).shape(), (Shape{0, 10}));
}

TEST(Sequential, SummaryHasALineForEachLayerInside) {
  Sequential model = classifier();
  EXPECT_EQ(model.summary({4, 3, 32, 32}),
            "Sequential on [4, 3, 32, 32]\n"
            "Layer         Kind       Output shape     Parameters\n"
            "features.0    Conv2d     [4, 32, 32, 32]         896\n"
            "features.1    ReLU       [4, 32, 32, 32]           0\n"
            "features.2    MaxPool2d  [4, 32, 8, 8]             0\n"
            "classifier.0  Flatten    [4, 2048]                 0\n"
            "classifier.1  Linear     [4, 10]              20,490\n"
            "Total parameters: 21,386\n");
}

// ---- moving ----------------------------------------------------------------------------------------------------------------

TEST_P(SequentialTest, ASubmoduleMovesIntoAnotherModelAfterUse) {
  Sequential first{{"body", Sequential{Linear(4, 4), ReLU()}}, {"head", Linear(4, 2)}};
  first.init(5).to(device());
  const Tensor x = random_tensor({3, 4}, 1);
  const std::vector<float> expected = values(first.at<Sequential>("body").predict(x));
  const Parameter weight = first.at<Linear>("body.0").weight();

  Sequential second{{"new_body", std::move(first.at<Sequential>("body"))}, {"new_head", Linear(4, 3)}};
  second.to(device()).eval();
  EXPECT_EQ(second(x).shape(), (Shape{3, 3}));
  EXPECT_EQ(values(second.at<Sequential>("new_body").predict(x)), expected);
  EXPECT_EQ(weight.name(), "new_body.0.weight");
  EXPECT_EQ(second.parameters()[0], weight);
  second.backward(full({3, 3}, 1));
  EXPECT_TRUE(weight.has_grad());
  EXPECT_EQ(second.at("new_body.1").label(), "new_body.1 ReLU");
}

TEST(Sequential, OutlivesTheModelItsChildCameFrom) {
  auto first = std::make_unique<Sequential>(Sequential{{"body", Linear(4, 4)}});
  first->init(5);
  Linear body = std::move(first->at<Linear>("body"));
  first.reset();
  EXPECT_EQ(body(Tensor::zeros({2, 4})).shape(), (Shape{2, 4}));
}

}  // namespace
}  // namespace gpucnn
