#include <gpucnn/layers/graph/model_graph.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/mul.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/graph/graph_builder.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

#include "layers/exported_layers.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/model_graph.h"

namespace gpucnn {
namespace {

using testing::ElementsAre;

/// Of networks of a few layers, whose convolutions may do the work of norms.
constexpr Tolerance kPredicted{1e-6, 5e-6};

TEST(ModelGraph, ComputesWhatEachLayerPredicts) {
  const Shape shape = kExportedX;
  const std::vector<float> x = reference::random_floats(shape.numel(), 3);
  for (auto& [name, layer] : exported_layers()) {
    SCOPED_TRACE(name);
    draw_values(*layer);
    const Tensor y = layer->predict(Tensor::from(x, shape));
    const ModelGraph graph = graph_of(*layer, shape);
    EXPECT_EQ(graph.values[0], shape);
    EXPECT_EQ(graph.values.at(static_cast<std::size_t>(graph.output)), y.shape());
    EXPECT_EQ(graph.nodes.size() + 1, graph.values.size());
    expect_close(values(y), reference::run_graph(graph, reference::widen(x)), kPredicted);
  }
}

class ModelGraphTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ModelGraphTest, devices(), device_name);

TEST_P(ModelGraphTest, HasItsTensorsOnTheCpu) {
  Sequential model{Conv2d(1, 2, {.kernel_size = 1}), BatchNorm2d(2)};
  model.init(1).to(device());
  const ModelGraph graph = graph_of(model, {1, 1, 2, 2});
  const auto& conv = std::get<op::Conv2d>(graph.nodes.at(0).op);
  const auto& norm = std::get<op::BatchNorm2d>(graph.nodes.at(1).op);
  EXPECT_EQ(conv.weight.device(), Device::cpu());
  EXPECT_EQ(norm.running_var.device(), Device::cpu());
  EXPECT_EQ(values(conv.weight), values(model.parameters().at(0).value()));
  EXPECT_EQ(values(conv.bias), values(model.parameters().at(1).value()));
}

TEST(ModelGraph, LeavesOutWhatDoesNothingInPredict) {
  const Sequential model{Identity(), Dropout(0.5), Dropout2d(0.5)};
  const ModelGraph graph = graph_of(model, {1, 2, 3, 3});
  EXPECT_TRUE(graph.nodes.empty());
  EXPECT_EQ(graph.output, 0);
}

std::vector<std::string> paths(const ModelGraph& graph) {
  std::vector<std::string> all;
  for (const ModelGraph::Node& node : graph.nodes) all.push_back(node.path);
  return all;
}

TEST(ModelGraph, CallsNodesByTheirLayers) {
  const Sequential model{{"stem", Sequential{Conv2d(1, 2, {.kernel_size = 1}), ReLU()}},
                         {"block", ResidualBlock({{"conv", Conv2d(2, 2, {.kernel_size = 1})}})},
                         {"sum", Residual(Mul(2))},
                         {"cat", Concat{Mul(2), Mul(3)}}};
  EXPECT_THAT(paths(graph_of(model, {1, 1, 2, 2})), ElementsAre("stem.0", "stem.1", "block.conv", "block.add", "block.relu",
                                                                "sum.body", "sum.add", "cat.0", "cat.1", "cat"));
  EXPECT_THAT(paths(graph_of(ReLU(), {1, 2})), ElementsAre(""));
}

/// y = (2 x) * 3 + x: a layer of a user's own, made of operations that there are.
class Tripled : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    return combine(x, x, [](float a, float) { return 7 * a; });
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
  int add_to(GraphBuilder& graph, int x) const override {
    const Shape shape = graph.shape(x);
    const int twice = graph.add(*this, "mul", Activation{.kind = Activation::scaled, .factor = 2}, {x}, shape);
    const int six = graph.add(*this, "mul", Activation{.kind = Activation::scaled, .factor = 3}, {twice}, shape);
    return graph.add(*this, "add", op::Add{}, {six, x}, shape);
  }
};

TEST(ModelGraph, TakesALayerOfAUsersOwn) {
  const Sequential model{{"own", Tripled()}};
  const ModelGraph graph = graph_of(model, {1, 2});
  EXPECT_THAT(paths(graph), ElementsAre("own.mul", "own.mul_2", "own.add"));
  EXPECT_THAT(reference::run_graph(graph, {1, -2}), ElementsAre(7, -14));
}

TEST(ModelGraph, NamesALayerThatDoesNotSayWhatItIs) {
  const Sequential model{{"layers", Sequential{Scale(3)}}};
  EXPECT_THAT(
      [&] {
        graph_of(model, {1, 3});
      },
      testing::ThrowsMessage<std::logic_error>(
          testing::HasSubstr("layers.0 Scale: cannot be exported: Scale does not override add_to")));
}

TEST(ModelGraph, RefusesAShapeThatDoesNotFit) {
  const Sequential model{{"fc", Linear(3, 2)}};
  EXPECT_THAT([&] { graph_of(model, {1, 4}); }, misuse("fc Linear"));
}

TEST(ModelGraph, FoldsNormsIntoTheConvolutionsBeforeThem) {
  Sequential model{{"conv", Conv2d(3, 4, {.kernel_size = 3, .groups = 1, .bias = false})},
                   {"bn", BatchNorm2d(4)},
                   {"relu", ReLU()},
                   {"conv2", Conv2d(4, 4, {.kernel_size = 1, .groups = 2})},
                   {"bn2", BatchNorm2d(4, {.affine = false})}};
  draw_values(model);
  const Shape shape{2, 3, 6, 5};
  ModelGraph graph = graph_of(model, shape);
  const reference::Values x = reference::random_values(shape.numel(), 1), expected = reference::run_graph(graph, x);
  graph.fold_batch_norm();
  EXPECT_THAT(paths(graph), ElementsAre("conv", "relu", "conv2"));
  EXPECT_EQ(graph.output, 3);
  EXPECT_EQ(graph.values.size(), 4);
  expect_close(reference::run_graph(graph, x), expected, {0, 1e-6});
  EXPECT_TRUE(std::get<op::Conv2d>(graph.nodes[0].op).options.bias);
}

TEST(ModelGraph, LeavesANormThatCannotBeFolded) {
  const auto left = [](Sequential model) {
    draw_values(model);
    const Shape shape{2, 2, 4, 4};
    ModelGraph graph = graph_of(model, shape);
    const std::size_t before = graph.nodes.size();
    const reference::Values x = reference::random_values(shape.numel(), 1), expected = reference::run_graph(graph, x);
    graph.fold_batch_norm();
    EXPECT_EQ(graph.nodes.size(), before);
    EXPECT_EQ(reference::run_graph(graph, x), expected);
  };
  left(Sequential{ReLU(), BatchNorm2d(2)});                                                            // no convolution
  left(Sequential{Conv2d(2, 2, {.kernel_size = 1}), BatchNorm2d(2, {.track_running_stats = false})});  // the batch's own
  left(Sequential{Conv2d(2, 2, {.kernel_size = 1}), Residual(BatchNorm2d(2))});                        // another reader
  left(Sequential{Conv2d(2, 2, {.kernel_size = 1}), Concat{BatchNorm2d(2), Mul(2)}});                  // the same
}

TEST(ModelGraph, LeavesANormWhoseFactorOverflows) {
  Sequential model{Conv2d(1, 1, {.kernel_size = 1}), BatchNorm2d(1, {.eps = 0})};
  for (const auto& [name, tensor] : model.state_dict()) {
    if (tensor.dtype() == DType::f32) Tensor(tensor).copy_from(Tensor::full(tensor.shape(), name == "1.running_var" ? 0.0F : 1.0F));
  }
  ModelGraph graph = graph_of(model, {1, 1, 2, 2});
  graph.fold_batch_norm();
  EXPECT_EQ(graph.nodes.size(), 2);
}

}  // namespace
}  // namespace gpucnn
