#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/io/export_onnx.h>
#include <gpucnn/io/import_onnx.h>
#include <gpucnn/models/make_model.h>

#include "layers/exported_layers.h"
#include "layers/layers.h"

#include "io/temporary_folder.h"  // behind those: it has a namespace called testing

namespace gpucnn {
namespace {

using ::testing::ElementsAre;

class OnnxRoundTrip : public ::testing::Test {
 protected:
  ImportedOnnx there_and_back(const Module& model, const Shape& x, const OnnxOptions& options = {}) const {
    const std::filesystem::path file = folder_ / "model.onnx";
    export_onnx(model, x, file, options);
    return import_onnx(file);
  }

  testing::TemporaryFolder folder_;
};

/// Operations of ONNX that are steps there and no layer here.
bool is_read(const std::string& name) { return name != "AdaptiveAvgPool2d" && name != "AdaptiveMaxPool2d"; }

TEST_F(OnnxRoundTrip, KeepsWhatEachLayerPredicts) {
  const Tensor x = random_tensor(kExportedX, 3);
  for (auto& [name, layer] : exported_layers()) {
    if (!is_read(name)) continue;
    SCOPED_TRACE(name);
    draw_values(*layer);
    const ImportedOnnx read = there_and_back(*layer, kExportedX);
    EXPECT_EQ(read.input, (Shape{1, 4, 7, 9}));
    expect_close(values(read.model->predict(x)), as_doubles(values(layer->predict(x))), {1e-6, 1e-6});
  }
}

/// The names of all layers' tensors.
std::vector<std::string> state_names(Module& model) {
  std::vector<std::string> all;
  for (const auto& [name, tensor] : model.state_dict()) {
    if (!name.ends_with("num_batches_tracked")) all.push_back(name);
  }
  return all;
}

TEST_F(OnnxRoundTrip, KeepsTheBitsAndTheNamesOfModels) {
  for (const std::string name : {"lenet5", "resnet18", "resnet20", "resnet50", "resnet9", "simple_cnn"}) {
    SCOPED_TRACE(name);
    const int side = name == "lenet5" ? 12 : 16;
    const auto model = make_model(name, {3, side, side}, 10, name == "resnet9" ? std::optional(8) : std::nullopt);
    draw_values(*model);
    const ImportedOnnx read = there_and_back(*model, {1, 3, side, side});
    const Tensor x = random_tensor({3, 3, side, side}, 1);
    EXPECT_EQ(values(read.model->predict(x)), values(model->predict(x)));
    EXPECT_EQ(state_names(*read.model), state_names(*model));
  }
}

TEST_F(OnnxRoundTrip, GivesANetworkThatLearns) {
  const auto model = make_model("resnet20", {3, 8, 8}, 10);
  ImportedOnnx read = there_and_back(*model, {1, 3, 8, 8});
  const Tensor x = random_tensor({2, 3, 8, 8}, 1), dy = random_tensor({2, 10}, 2);
  (*model)(x);
  model->backward(dy);
  (*read.model)(x);
  read.model->backward(dy);
  expect_close(all_grads(*read.model), as_doubles(all_grads(*model)), {0, 1e-6});
}

TEST_F(OnnxRoundTrip, KeepsFoldedNormsAndMetadata) {
  const auto model = make_model("resnet20", {3, 8, 8}, 10);
  draw_values(*model);
  const ImportedOnnx read =
      there_and_back(*model, {1, 3, 8, 8}, {.fold_batch_norm = true, .metadata = {{"class_names", "cat,dog"}, {"a", ""}}});
  EXPECT_THAT(read.metadata, ElementsAre(::testing::Pair("a", ""), ::testing::Pair("class_names", "cat,dog")));
  const Tensor x = random_tensor({2, 3, 8, 8}, 1);
  expect_close(values(read.model->predict(x)), as_doubles(values(model->predict(x))), {0, 1e-5});
  for (const std::string& name : state_names(*read.model)) EXPECT_EQ(name.find("bn"), std::string::npos) << name;
}

TEST_F(OnnxRoundTrip, WritesTheSameBytesEachTime) {
  const auto model = make_model("simple_cnn", {3, 8, 8}, 10);
  const auto bytes = [&](const char* name) {
    export_onnx(*model, {1, 3, 8, 8}, folder_ / name);
    return testing::read_bytes(folder_ / name);
  };
  EXPECT_EQ(bytes("a.onnx"), bytes("b.onnx"));
}

}  // namespace
}  // namespace gpucnn
