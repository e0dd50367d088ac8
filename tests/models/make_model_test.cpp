#include <gpucnn/models/make_model.h>

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/models/lenet5.h>
#include <gpucnn/models/resnet.h>
#include <gpucnn/models/resnet9.h>
#include <gpucnn/models/vgg.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

std::int64_t count(Module& model) {
  std::int64_t all = 0;
  for (const auto& [name, tensor] : model.state_dict()) {
    if (tensor.dtype() == DType::f32 && !name.ends_with("running_mean") && !name.ends_with("running_var")) all += tensor.numel();
  }
  return all;
}

/// The models whose gigabyte of numbers no test needs twice are left out.
std::vector<std::string> light_names() {
  std::vector<std::string> names;
  for (const std::string_view name : model_names()) {
    if (name != "vgg11_bn" && name != "resnet34" && name != "resnet50") names.emplace_back(name);
  }
  return names;
}

TEST(MakeModel, KnowsEveryModelByItsName) {
  EXPECT_EQ(
      std::vector<std::string>(model_names().begin(), model_names().end()),
      (std::vector<std::string>{"lenet5", "resnet18", "resnet20", "resnet34", "resnet50", "resnet9", "simple_cnn", "vgg11_bn"}));
  const std::map<std::string, std::int64_t> parameters{{"lenet5", 62006},      {"resnet18", 11173962}, {"resnet20", 272474},
                                                       {"resnet34", 21282122}, {"resnet50", 23520842}, {"resnet9", 6573120},
                                                       {"simple_cnn", 268650}};
  for (const auto& [name, expected] : parameters) {
    SCOPED_TRACE(name);
    const auto model = make_model(name, {3, 32, 32}, 10);
    std::int64_t all = 0;
    for (const Parameter& parameter : model->parameters()) all += parameter.numel();
    EXPECT_EQ(all, expected);
    EXPECT_EQ(model->output_shape({5, 3, 32, 32}), (Shape{5, 10}));
  }
  EXPECT_EQ(make_model("vgg11_bn", {3, 32, 32}, 10)->output_shape({5, 3, 32, 32}), (Shape{5, 10}));
}

TEST(MakeModel, TakesGreyImagesAndAnyNumberOfClasses) {
  for (const std::string& name : light_names()) {
    SCOPED_TRACE(name);
    const auto model = make_model(name, {1, 28, 28}, 7);
    EXPECT_EQ(model->predict(Tensor::zeros({2, 1, 28, 28})).shape(), (Shape{2, 7}));
  }
}

TEST(MakeModel, BeginsWithTheSmallStemWhereTheShorterSideHasAtMost64Pixels) {
  for (const auto& [image, small] : std::vector<std::pair<Shape, bool>>{
           {{3, 32, 32}, true}, {{3, 64, 200}, true}, {{1, 200, 64}, true}, {{3, 65, 65}, false}, {{3, 224, 224}, false}}) {
    SCOPED_TRACE(image.string());
    const auto model = make_model("resnet18", image, 10);
    EXPECT_EQ(model->output_shape({1, image[0], image[1], image[2]}), (Shape{1, 10}));
    EXPECT_EQ(model->at<Conv2d>("conv1").weight().shape(), (Shape{64, image[0], small ? 3 : 7, small ? 3 : 7}));
    EXPECT_EQ(model->size(), small ? 10U : 11U);
  }
}

TEST(MakeModel, GivesResnet9AnotherWidth) {
  const auto model = make_model("resnet9", {3, 32, 32}, 10, 16);
  EXPECT_EQ(model->at<Conv2d>("prep.conv").weight().shape(), (Shape{16, 3, 3, 3}));
  EXPECT_EQ(model->at<Linear>("linear").weight().shape(), (Shape{10, 128}));
  EXPECT_THAT([] { make_model("resnet9", {3, 32, 32}, 10, 0); }, misuse("resnet9: width must be 1 to 1048576, got 0"));
  EXPECT_THAT([] { make_model("resnet18", {3, 32, 32}, 10, 16); }, misuse("make_model: resnet18 has no width"));
}

TEST(MakeModel, RefusesWhatItHasNot) {
  EXPECT_THAT(
      [] {
        make_model("resnet19", {3, 32, 32}, 10);
      },
      misuse("make_model: there is no model 'resnet19'; the names are lenet5, resnet18, resnet20, resnet34, resnet50, resnet9, "
             "simple_cnn, vgg11_bn"));
  EXPECT_THAT([] { make_model("", {3, 32, 32}, 10); }, misuse("there is no model ''"));
  EXPECT_THAT(
      [] {
        make_model("resnet18", {3, 3, 32, 32}, 10);
      },
      misuse("resnet18: expects the shape of an image, [C, H, W], got [3, 3, 32, 32]"));
  EXPECT_THAT(
      [] {
        make_model("vgg11_bn", {3, 31, 32}, 10);
      },
      misuse("vgg11_bn: expects images from [1, 32, 32] to [16384, 16384, 16384], got [3, 31, 32]"));
  EXPECT_THAT([] { make_model("lenet5", {1, 11, 28}, 10); }, misuse("lenet5: expects images from [1, 12, 12]"));
  EXPECT_THAT([] { make_model("simple_cnn", {3, 3, 32}, 10); }, misuse("simple_cnn: expects images from [1, 4, 4]"));
  EXPECT_THAT([] { make_model("resnet9", {3, 32, 7}, 10); }, misuse("resnet9: expects images from [1, 8, 8]"));
  EXPECT_THAT([] { make_model("resnet20", {0, 32, 32}, 10); }, misuse("resnet20: expects images from [1, 1, 1]"));
  EXPECT_THAT([] { make_model("resnet18", {3, 32, 16385}, 10); }, misuse("resnet18: expects images from"));
  for (const std::string& name : light_names()) {
    EXPECT_THAT(
        [&] {
          make_model(name, {3, 32, 32}, 0);
        },
        misuse("Linear: in_features and out_features must be at least 1"))
        << name;
  }
}

// What is said to be the smallest image gives an answer.
TEST(MakeModel, TakesTheSmallestImagesThatItAllows) {
  for (const auto& [name, side] : std::vector<std::pair<std::string, int>>{
           {"lenet5", 12}, {"resnet9", 8}, {"simple_cnn", 4}, {"resnet20", 1}, {"resnet18", 1}}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(make_model(name, {3, side, side}, 4)->predict(Tensor::zeros({2, 3, side, side})).shape(), (Shape{2, 4}));
  }
}

// Tied to the papers and to torchvision: with 1000 classes, or the papers' own number.
TEST(Models, HaveAsManyParametersAsTheirContractsSay) {
  Sequential lenet = lenet5(), of_18 = resnet18(), of_9 = resnet9();
  EXPECT_EQ(count(lenet), 61706);
  EXPECT_EQ(count(of_18), 11689512);
  EXPECT_EQ(count(of_9), 6573120);
  Sequential of_34 = resnet34(), of_50 = resnet50();
  EXPECT_EQ(count(of_34), 21797672);
  EXPECT_EQ(count(of_50), 25557032);
}

class ModelsTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ModelsTest, devices(), device_name);

/// A training step's loss and gradients, on images of this shape.
std::vector<float> step(Module& model, const Tensor& x) {
  CrossEntropyLoss criterion;
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(x.dim(0)), 1);
  const float loss = criterion(model(x), Tensor::from(labels, {x.dim(0)}, x.device())).item();
  model.zero_grad();
  model.backward(criterion.backward());
  std::vector<float> all = all_grads(model);
  all.push_back(loss);
  return all;
}

TEST_P(ModelsTest, AreCloned) {
  for (const char* name : {"lenet5", "resnet9"}) {
    SCOPED_TRACE(name);
    const auto model = make_model(name, {3, 12, 12}, 4, std::string(name) == "resnet9" ? std::optional(4) : std::nullopt);
    model->init(3).to(device());
    const Tensor x = random_tensor({3, 3, 12, 12}, 1);
    step(*model, x);  // leaves running statistics
    const auto twin = model->clone();
    EXPECT_EQ(values(twin->predict(x)), values(model->predict(x)));
    EXPECT_EQ(step(*twin, x), step(*model, x));
  }
}

TEST(Models, ClonesAreDrawnByTheSameRule) {
  Sequential model = resnet20();
  const auto twin = model.clone();
  twin->init(5);
  model.init(5);
  EXPECT_EQ(all_values(*twin), all_values(model));
}

/// Mean and deviation of a parameter's values.
std::pair<double, double> moments(const Parameter& parameter) {
  double sum = 0, squares = 0;
  for (const float value : values(parameter.value())) {
    sum += value;
    squares += double{value} * value;
  }
  const auto n = static_cast<double>(parameter.numel());
  return {sum / n, std::sqrt(squares / n - sum / n * (sum / n))};
}

// Torchvision's rule: the deviation is sqrt(2 / (out_channels kH kW)), and a tenth of a percent of normal numbers is beyond 3.29 of
// it.
TEST(Models, ConvolutionsOfResnetsBeginNormalByTheirFanOut) {
  Sequential model = resnet18({.num_classes = 10});
  model.init(1);
  for (const auto& [path, deviation] : std::map<std::string, double>{{"conv1", std::sqrt(2.0 / (64 * 49))},
                                                                     {"layer1.0.conv1", std::sqrt(2.0 / (64 * 9))},
                                                                     {"layer3.1.conv2", std::sqrt(2.0 / (256 * 9))},
                                                                     {"layer4.0.downsample.0", std::sqrt(2.0 / 512)}}) {
    SCOPED_TRACE(path);
    const Parameter weight = model.at<Conv2d>(path).weight();
    const auto [mean, found] = moments(weight);
    const auto n = static_cast<double>(weight.numel());
    EXPECT_NEAR(mean, 0, 4 * deviation / std::sqrt(n));
    EXPECT_NEAR(found / deviation, 1, 4 / std::sqrt(2 * n));
    double beyond = 0;
    for (const float value : values(weight.value())) beyond += std::abs(value) > 3.29 * deviation ? 1 : 0;
    EXPECT_NEAR(beyond / n, 0.001, 4 * std::sqrt(0.001 / n));
  }
  const auto [mean, deviation] = moments(model.at<Linear>("fc").weight());
  EXPECT_NEAR(deviation, 1 / std::sqrt(512 * 3.0), 0.001);  // uniform in ±1 / sqrt(512)
}

TEST(Models, BlocksBeginAsTheIdentityIfAsked) {
  Sequential model = resnet18({.num_classes = 10, .small_stem = true, .zero_init_residual = true});
  model.init(1);
  EXPECT_THAT(values(model.at("layer1.1.bn2").parameters()[0].value()), testing::Each(0.0F));
  EXPECT_THAT(values(model.at("layer1.1.bn1").parameters()[0].value()), testing::Each(1.0F));
}

TEST(Models, TakeAnotherHead) {
  Sequential model = resnet18();
  model.at<Linear>("fc") = Linear(512, 5);
  EXPECT_EQ(model.predict(Tensor::zeros({1, 3, 32, 32})).shape(), (Shape{1, 5}));
}

TEST(Models, SayWhereAnImageDoesNotFit) {
  Sequential model = resnet18();
  EXPECT_THAT([&] { model.predict(Tensor::zeros({1, 1, 32, 32})); }, misuse("conv1 Conv2d: expects 3 input channels"));
  Sequential vgg = vgg11_bn();
  EXPECT_THAT([&] { vgg.predict(Tensor::zeros({1, 3, 31, 31})); }, misuse("features.28 MaxPool2d"));
}

}  // namespace
}  // namespace gpucnn
