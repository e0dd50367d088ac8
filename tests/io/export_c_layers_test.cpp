#include <gpucnn/io/export_c.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/gpucnn.h>

#include "close.h"
#include "io/exported_c.h"
#include "layers/exported_layers.h"

namespace gpucnn {
namespace {

using testing::c_compilers;
using testing::CCompiler;
using testing::ExportedC;

/// That the C file of a model computes what `predict` does, by every compiler of this machine.
void expect_same_logits(Module& model, const Shape& shape, const std::string& options = "-O2") {
  draw_values(model);
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

std::vector<std::string> layer_names() {
  std::vector<std::string> names;
  for (const auto& [name, layer] : exported_layers()) names.push_back(name);
  return names;
}

class EveryLayerInC : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryLayerInC, ComputesWhatPredictDoes) {
  const std::unique_ptr<Module> layer = std::move(exported_layers().at(GetParam()));
  expect_same_logits(*layer, kExportedX.with(0, 1));
}

INSTANTIATE_TEST_SUITE_P(Layers, EveryLayerInC, ::testing::ValuesIn(layer_names()), [](const auto& its) {
  std::string name = its.param;
  std::erase_if(name, [](char c) { return c == ' ' || c == ','; });
  return name;
});

TEST(ExportC, OfWindowsThatReachBeyondTheImageComputesWhatPredictDoes) {
  Sequential padded{Conv2d(1, 2, {.kernel_size = 2, .stride = 3, .padding = 4})};
  expect_same_logits(padded, {1, 1, 2, 2});
  Sequential dilated{MaxPool2d(MaxPool2dOptions{{3, 2}, Size2{2, 1}, {1, 1}, {2, 2}, true}),
                     AvgPool2d(AvgPool2dOptions{3, Size2{2, 2}, 1, true, true, -5})};
  expect_same_logits(dilated, {1, 3, 9, 7});
}

TEST(ExportC, OfLayersThatDoNothingCopiesTheInput) {
  Sequential nothing{Dropout(), Flatten(), Identity()};
  expect_same_logits(nothing, {1, 3, 2, 2});
}

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
  for (const char* level : {"-O0", "-O3"}) {
    SCOPED_TRACE(level);
    expect_same_logits(model, {1, 3, 8, 6}, level);
  }
}

TEST(ExportC, StaysWithinItsMemory) {
  Sequential model = branches();
  expect_same_logits(model, {1, 3, 8, 6}, "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all");
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
  draw_values(model);
  const Tensor x = Tensor::randn({1, 3, 8, 6}, 3);
  ExportedC exported;
  export_c(model, x.shape(), exported.file());
  ASSERT_NO_FATAL_FAILURE(exported.compile(arm, 144, 5));
  expect_close(exported.predict(x.to_vector<float>()), as_doubles(model.predict(x).to_vector<float>()), kGoldenPass);
}

}  // namespace
}  // namespace gpucnn
