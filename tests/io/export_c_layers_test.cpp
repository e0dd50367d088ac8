#include <gpucnn/io/export_c.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/gpucnn.h>

#include "close.h"
#include "io/exported_c.h"

namespace gpucnn {
namespace {

using testing::c_compilers;
using testing::CCompiler;
using testing::ExportedC;

/// Draws weights, and statistics that a training would have left.
void draw(Module& model) {
  model.init(7);
  std::uint64_t seed = 1;
  for (const auto& [name, tensor] : model.state_dict()) {
    if (!name.ends_with("running_mean") && !name.ends_with("running_var")) continue;
    std::vector<float> values = Tensor::randn(tensor.shape(), seed++).to_vector<float>();
    for (float& value : values) value = 0.25F + std::abs(value);  // a variance is positive
    Tensor target = tensor;
    target.copy_from(Tensor::from(values, tensor.shape()));
  }
}

/// That the C file of a model computes what `predict` does, by every compiler of this machine.
void expect_same_logits(Module& model, const Shape& shape, const std::string& options = "-O1") {
  draw(model);
  const Tensor x = Tensor::randn(shape, 3);
  const std::vector<float> expected = model.predict(x).to_vector<float>();
  ExportedC exported;
  export_c(model, shape, exported.file());
  const std::vector<CCompiler> compilers = c_compilers();
  if (compilers.empty()) GTEST_SKIP() << "neither gcc nor clang is installed";
  for (const CCompiler& compiler : compilers) {
    SCOPED_TRACE(compiler.command);
    ASSERT_NO_FATAL_FAILURE(exported.compile(compiler, x.to_vector<float>().size(), expected.size(), options));
    expect_close(exported.predict(x.to_vector<float>()), as_doubles(expected), kGoldenPass);
  }
}

struct LayerCase {
  std::string name;
  Shape x;
  std::function<std::unique_ptr<Module>()> make;
};

template <class Layer, class... Arguments>
LayerCase layer(std::string name, const Shape& x, Arguments... arguments) {
  return {std::move(name), x, [=] { return std::make_unique<Layer>(arguments...); }};
}

std::vector<LayerCase> layers() {
  const Shape image{1, 6, 9, 7}, row{1, 11};
  std::vector<LayerCase> cases{
      layer<Conv2d>("Conv2d", image, 6, 5, Conv2dOptions{.kernel_size = 3}),
      layer<Conv2d>("Conv2dEverything", image, 6, 4,
                    Conv2dOptions{.kernel_size = {3, 2}, .stride = {2, 3}, .padding = {1, 2}, .dilation = {2, 1}, .groups = 2}),
      layer<Conv2d>("Conv2dSame", image, 6, 4, Conv2dOptions{.kernel_size = 4, .padding = Padding2d::same, .bias = false}),
      layer<Conv2d>("Conv2dPadsMoreThanTheImage", Shape{1, 1, 2, 2}, 1, 2,
                    Conv2dOptions{.kernel_size = 2, .stride = 3, .padding = 4}),
      layer<Conv2d>("Conv2dDepthwise", image, 6, 12, Conv2dOptions{.kernel_size = 3, .padding = 1, .groups = 6}),
      layer<Linear>("Linear", row, 11, 5),
      layer<Linear>("LinearWithoutBias", Shape{1, 16}, 16, 3, LinearOptions{.bias = false}),
      layer<BatchNorm2d>("BatchNorm2d", image, 6),
      layer<BatchNorm2d>("BatchNorm2dWithoutAffine", image, 6, BatchNorm2dOptions{.affine = false}),
      layer<BatchNorm2d>("BatchNorm2dOfTheBatch", image, 6, BatchNorm2dOptions{.track_running_stats = false}),
      layer<GroupNorm>("GroupNorm", image, 3, 6),
      layer<GroupNorm>("GroupNormWithoutAffine", image, 2, 6, GroupNormOptions{.affine = false}),
      layer<MaxPool2d>("MaxPool2d", image, 2),
      layer<MaxPool2d>("MaxPool2dEverything", image, MaxPool2dOptions{{3, 2}, Size2{2, 1}, {1, 1}, {2, 2}, true}),
      layer<AvgPool2d>("AvgPool2d", image, AvgPool2dOptions{2}),
      layer<AvgPool2d>("AvgPool2dBeyondThePadding", image, AvgPool2dOptions{3, Size2{2, 2}, 1, true}),
      layer<AvgPool2d>("AvgPool2dWithoutPadding", image, AvgPool2dOptions{3, Size2{2, 2}, 1, true, false}),
      layer<AvgPool2d>("AvgPool2dByADivisor", image, AvgPool2dOptions{3, Size2{2, 1}, 1, false, true, -5}),
      layer<AdaptiveAvgPool2d>("AdaptiveAvgPool2d", image, Size2{4, 5}),
      layer<AdaptiveAvgPool2d>("AdaptiveAvgPool2dGlobal", image, 1),
      layer<AdaptiveMaxPool2d>("AdaptiveMaxPool2d", image, Size2{2, 3}),
      layer<Upsample>("Upsample", image, Size2{2, 3}),
      layer<Flatten>("Flatten", image),
      layer<Softmax>("SoftmaxOfARow", row),
      layer<Softmax>("SoftmaxOfAnImage", image),
      layer<ReLU>("ReLU", image),
      layer<LeakyReLU>("LeakyReLU", image, 0.2),
      layer<ReLU6>("ReLU6", image),
      layer<GELU>("GELU", image),
      layer<GELU>("GELUByTanh", image, "tanh"),
      layer<SiLU>("SiLU", image),
      layer<Hardswish>("Hardswish", image),
      layer<Sigmoid>("Sigmoid", image),
      layer<Tanh>("Tanh", image),
      layer<Mul>("Mul", image, 0.125),
      layer<Dropout>("Dropout", image),
      layer<Dropout2d>("Dropout2d", image),
      layer<Identity>("Identity", image),
  };
  return cases;
}

class EveryLayerInC : public ::testing::TestWithParam<LayerCase> {};

TEST_P(EveryLayerInC, ComputesWhatPredictDoes) {
  const std::unique_ptr<Module> model = GetParam().make();
  expect_same_logits(*model, GetParam().x);
}

INSTANTIATE_TEST_SUITE_P(Layers, EveryLayerInC, ::testing::ValuesIn(layers()), [](const auto& its) { return its.param.name; });

/// Branches whose values live at the same time, values that are read twice, and places that are used again.
Sequential branches() {
  return Sequential{
      Conv2d(3, 4, {.kernel_size = 3, .padding = 1}),
      BatchNorm2d(4),
      Concat{Residual(Sequential{ReLU(), Conv2d(4, 4, {.kernel_size = 1}), BatchNorm2d(4)}),
             Sequential{Conv2d(4, 8, {.kernel_size = 3, .padding = 1}), GroupNorm(2, 8), SiLU()}, Identity()},
      ResidualBlock({Conv2d(16, 16, {.kernel_size = 3, .padding = 1}), BatchNorm2d(16)}),
      ResidualBlock({Conv2d(16, 8, {.kernel_size = 3, .stride = 2, .padding = 1})}, Conv2d(16, 8, {.kernel_size = 1, .stride = 2})),
      Residual(Identity()),
      Upsample(2),
      MaxPool2d(2),
      AdaptiveAvgPool2d(2),
      Flatten(),
      Dropout(),
      Linear(32, 5),
      Softmax()};
}

TEST(ExportC, OfBranchesComputesWhatPredictDoes) {
  Sequential model = branches();
  expect_same_logits(model, {1, 3, 8, 6});
}

TEST(ExportC, StaysWithinItsMemory) {
  Sequential model = branches();
  expect_same_logits(model, {1, 3, 8, 6}, "-g -fsanitize=address,undefined -fno-sanitize-recover=all");
}

struct ModelCase {
  std::string name;
  Shape image;
};

class SmallModelsInC : public ::testing::TestWithParam<ModelCase> {};

TEST_P(SmallModelsInC, ComputeWhatPredictDoes) {
  const auto& [name, image] = GetParam();
  const std::unique_ptr<Sequential> model = make_model(name, image, 10, name == "resnet9" ? std::optional(8) : std::nullopt);
  expect_same_logits(*model, {1, image[0], image[1], image[2]});
}

INSTANTIATE_TEST_SUITE_P(Models, SmallModelsInC,
                         ::testing::Values(ModelCase{"simple_cnn", {3, 32, 32}}, ModelCase{"lenet5", {1, 28, 28}},
                                           ModelCase{"resnet9", {3, 32, 32}}, ModelCase{"resnet20", {3, 32, 32}}),
                         [](const auto& its) { return its.param.name; });

TEST(ExportC, OnA32BitArmComputesWhatPredictDoes) {
  const CCompiler arm{"arm-linux-gnueabihf-gcc -static", "qemu-arm"};
  if (!testing::is_installed("arm-linux-gnueabihf-gcc") || !testing::is_installed("qemu-arm")) {
    GTEST_SKIP() << "arm-linux-gnueabihf-gcc or qemu-arm is not installed";
  }
  Sequential model = branches();
  draw(model);
  const Tensor x = Tensor::randn({1, 3, 8, 6}, 3);
  ExportedC exported;
  export_c(model, x.shape(), exported.file());
  ASSERT_NO_FATAL_FAILURE(exported.compile(arm, 144, 5));
  expect_close(exported.predict(x.to_vector<float>()), as_doubles(model.predict(x).to_vector<float>()), kGoldenPass);
}

}  // namespace
}  // namespace gpucnn
