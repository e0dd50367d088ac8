#include <gpucnn/models/simple_cnn.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/optim/adam.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

class SimpleCNNTest : public LayerTest {
 protected:
  /// A training step on a batch of its own.
  void step(SimpleCNN& model, Adam& optimizer) const {
    CrossEntropyLoss criterion;
    optimizer.zero_grad();
    criterion(model(random_tensor({2, 3, 32, 32}, 1)), tensor<std::int32_t>({4, 7}, {2}));
    model.backward(criterion.backward());
    optimizer.step();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SimpleCNNTest, devices(), device_name);

TEST(SimpleCNN, HasPyTorchsNamesAndTheShapesOfItsTable) {
  SimpleCNN model;
  const std::vector<std::pair<std::string, Shape>> expected{{"features.0.weight", {16, 3, 3, 3}},  {"features.0.bias", {16}},
                                                            {"features.3.weight", {32, 16, 3, 3}}, {"features.3.bias", {32}},
                                                            {"classifier.1.weight", {128, 2048}},  {"classifier.1.bias", {128}},
                                                            {"classifier.4.weight", {10, 128}},    {"classifier.4.bias", {10}}};
  std::vector<std::pair<std::string, Shape>> actual;
  for (const auto& [name, tensor] : model.state_dict()) actual.emplace_back(name, tensor.shape());
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(model.summary({4, 3, 32, 32}),
            "SimpleCNN on [4, 3, 32, 32]\n"
            "Layer         Kind       Output shape     Parameters\n"
            "features.0    Conv2d     [4, 16, 32, 32]         448\n"
            "features.1    ReLU       [4, 16, 32, 32]           0\n"
            "features.2    MaxPool2d  [4, 16, 16, 16]           0\n"
            "features.3    Conv2d     [4, 32, 16, 16]       4,640\n"
            "features.4    ReLU       [4, 32, 16, 16]           0\n"
            "features.5    MaxPool2d  [4, 32, 8, 8]             0\n"
            "classifier.0  Flatten    [4, 2048]                 0\n"
            "classifier.1  Linear     [4, 128]            262,272\n"
            "classifier.2  ReLU       [4, 128]                  0\n"
            "classifier.3  Dropout    [4, 128]                  0\n"
            "classifier.4  Linear     [4, 10]               1,290\n"
            "Total parameters: 268,650\n");
}

TEST_P(SimpleCNNTest, GivesLogitsForAnyNumberOfClasses) {
  SimpleCNN model(3);
  EXPECT_EQ(model.to(device())(zeros({5, 3, 32, 32})).shape(), (Shape{5, 3}));
  EXPECT_THAT([] { SimpleCNN none(0); }, misuse("Linear: in_features and out_features must be at least 1, got 128 and 0"));
}

TEST_P(SimpleCNNTest, TakesImagesOfAnySize) {
  for (const Shape& image : {Shape{1, 28, 28}, Shape{3, 64, 48}, Shape{4, 5, 7}, Shape{2, 4, 4}}) {
    SCOPED_TRACE(image.string());
    SimpleCNN model(6, image);
    model.to(device());
    EXPECT_EQ(model(zeros({2, image[0], image[1], image[2]})).shape(), (Shape{2, 6}));
    EXPECT_EQ(model.at<Linear>("classifier.1").weight().shape(), (Shape{128, 32 * (image[1] / 4) * (image[2] / 4)}));
    const SimpleCNN twin = model.clone<SimpleCNN>();
    EXPECT_EQ(twin.output_shape({2, image[0], image[1], image[2]}), (Shape{2, 6}));
  }
}

TEST(SimpleCNN, RefusesImagesThatAreTooSmall) {
  EXPECT_THAT(
      [] {
        SimpleCNN(10, {3, 3, 32});
      },
      misuse("SimpleCNN: expects images from [1, 4, 4] to [16384, 16384, 16384], got [3, 3, 32]"));
  EXPECT_THAT([] { SimpleCNN(10, {3, 32, 3}); }, misuse("got [3, 32, 3]"));
  EXPECT_THAT([] { SimpleCNN(10, {0, 32, 32}); }, misuse("got [0, 32, 32]"));
  EXPECT_THAT([] { SimpleCNN(10, {3, 32, 16385}); }, misuse("got [3, 32, 16385]"));
  EXPECT_THAT([] { SimpleCNN(10, {32, 32}); }, misuse("SimpleCNN: expects the shape of an image, [C, H, W], got [32, 32]"));
}

TEST(SimpleCNN, SaysWhereAnImageDoesNotFit) {
  SimpleCNN model;
  EXPECT_THAT(
      [&] {
        model(Tensor::zeros({2, 3, 28, 28}));
      },
      testing::ThrowsMessage<std::invalid_argument>(
          "classifier.1 Linear: expects 2048 input features, got 1568 (Flatten of [N, 32, 7, 7])"));
  EXPECT_THAT(
      [&] {
        model.predict(Tensor::zeros({3, 32, 32}));
      },
      misuse("features.0 Conv2d: expects [N, C, H, W], got [3, 32, 32]: add a batch dimension"));
}

TEST_P(SimpleCNNTest, PredictGivesWhatEvalGives) {
  SimpleCNN model;
  model.to(device());
  const Tensor x = random_tensor({3, 3, 32, 32}, 1);
  const std::vector<float> predicted = values(model.predict(x));
  EXPECT_NE(values(model(x)), predicted);  // dropout
  model.eval();
  EXPECT_EQ(values(model(x)), predicted);
}

TEST_P(SimpleCNNTest, TrainsOnAfterAMove) {
  SimpleCNN reference;
  reference.to(device());
  Adam reference_optimizer(reference.parameters());
  for (int i = 0; i < 3; ++i) step(reference, reference_optimizer);

  SimpleCNN model;
  model.to(device());
  Adam optimizer(model.parameters());
  step(model, optimizer);
  SimpleCNN moved = std::move(model);
  Adam moved_optimizer = std::move(optimizer);
  step(moved, moved_optimizer);
  std::vector<SimpleCNN> models;
  models.push_back(std::move(moved));
  for (int i = 0; i < 4; ++i) models.emplace_back();  // the vector moves its elements as it grows
  step(models[0], moved_optimizer);
  EXPECT_EQ(all_values(models[0]), all_values(reference));
}

TEST_P(SimpleCNNTest, TrainsOnWhenItMovesToADevice) {
  SimpleCNN reference, model;
  Adam reference_optimizer(reference.to(device()).parameters()), optimizer(model.parameters());
  model.to(device());  // before the first step: from here on both compute the same
  for (int i = 0; i < 3; ++i) {
    step(reference, reference_optimizer);
    step(model, optimizer);
  }
  EXPECT_EQ(all_values(model), all_values(reference));
}

TEST_P(SimpleCNNTest, TrainsOnWhenItsPartsMoveToAnotherModel) {
  SimpleCNN model;
  model.to(device());
  Adam optimizer(model.parameters());
  Sequential features = std::move(model.at<Sequential>("features"));
  Sequential head = std::move(model.at<Sequential>("classifier"));
  Sequential other{{"body", std::move(features)}, {"head", std::move(head)}};
  other.to(device());
  std::vector<std::vector<float>> before;
  for (const Parameter& parameter : other.parameters()) before.push_back(values(parameter.value()));
  CrossEntropyLoss criterion;
  criterion(other(random_tensor({2, 3, 32, 32}, 1)), tensor<std::int32_t>({4, 7}, {2}));
  other.backward(criterion.backward());
  optimizer.step();
  const std::vector<Parameter> parameters = other.parameters();
  ASSERT_EQ(parameters.size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NE(values(parameters[i].value()), before[i]) << parameters[i].name();
}

}  // namespace
}  // namespace gpucnn
