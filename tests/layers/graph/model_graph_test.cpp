#include <gpucnn/layers/graph/model_graph.h>

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/leaky_relu.h>
#include <gpucnn/layers/activation/mul.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/relu6.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/graph/graph_builder.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>

#include "layers/layers.h"
#include "misuse.h"
#include "reference/model_graph.h"

namespace gpucnn {
namespace {

using testing::ElementsAre;

using Made = std::unique_ptr<Module>;

template <class M>
Made owned(M module) {
  return std::make_unique<M>(std::move(module));
}

/// Every layer that there is, for x of [2, 4, 7, 9].
std::map<std::string, Made> every_layer() {
  std::map<std::string, Made> all;
  all["Conv2d"] =
      owned(Conv2d(4, 6, {.kernel_size = {3, 2}, .stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2}));
  all["Conv2d, same"] = owned(Conv2d(4, 3, {.kernel_size = 4, .padding = Padding2d::same, .bias = false}));
  all["Linear"] = owned(Sequential{Flatten(), Linear(4 * 7 * 9, 5)});
  all["Linear without bias"] = owned(Sequential{Flatten(), Linear(4 * 7 * 9, 5, {.bias = false})});
  all["BatchNorm2d"] = owned(BatchNorm2d(4, {.eps = 0.01}));
  all["BatchNorm2d without affine"] = owned(BatchNorm2d(4, {.affine = false}));
  all["BatchNorm2d of the batch"] = owned(BatchNorm2d(4, {.track_running_stats = false}));
  all["GroupNorm"] = owned(GroupNorm(2, 4));
  all["GroupNorm without affine"] = owned(GroupNorm(4, 4, {.affine = false}));
  all["GELU"] = owned(GELU());
  all["GELU, tanh"] = owned(GELU("tanh"));
  all["Hardswish"] = owned(Hardswish());
  all["LeakyReLU"] = owned(LeakyReLU(0.3));
  all["Mul"] = owned(Mul(-1.5));
  all["ReLU"] = owned(ReLU());
  all["ReLU6"] = owned(Sequential{Mul(10), ReLU6()});
  all["Sigmoid"] = owned(Sigmoid());
  all["SiLU"] = owned(SiLU());
  all["Softmax"] = owned(Softmax());
  all["Tanh"] = owned(Tanh());
  all["MaxPool2d"] = owned(MaxPool2d(MaxPool2dOptions{{2, 3}, Size2{3, 2}, {1, 0}, {2, 1}, true}));
  all["AvgPool2d"] = owned(AvgPool2d(AvgPool2dOptions{{3, 2}, std::nullopt, {1, 1}, true, false}));
  all["AvgPool2d with a divisor"] = owned(AvgPool2d(AvgPool2dOptions{2, Size2{1}, 0, false, true, 3}));
  all["AdaptiveAvgPool2d"] = owned(AdaptiveAvgPool2d({3, 4}));
  all["AdaptiveMaxPool2d"] = owned(AdaptiveMaxPool2d({5, 1}));
  all["Upsample"] = owned(Upsample({2, 3}));
  all["Flatten"] = owned(Flatten());
  all["Residual"] = owned(Residual(Conv2d(4, 4, {.kernel_size = 1})));
  all["Residual with a shortcut"] = owned(Residual(Conv2d(4, 3, {.kernel_size = 1}), Conv2d(4, 3, {.kernel_size = 1})));
  all["ResidualBlock"] = owned(ResidualBlock({{"conv", Conv2d(4, 4, {.kernel_size = 1})}}, {"downsample", Sequential{Mul(2)}}));
  all["ResidualBlock of nothing"] = owned(ResidualBlock({Identity()}));
  all["Concat"] = owned(Concat{Mul(2), Conv2d(4, 3, {.kernel_size = 1}), Identity()});
  all["Concat of one"] = owned(Concat{Mul(2)});
  return all;
}

/// Parameters and buffers as training might leave them: variances are positive.
void set_values(Module& model) {
  unsigned seed = 0;
  model.init(7);
  for (const auto& [name, tensor] : model.state_dict()) {
    if (tensor.dtype() != DType::f32 || tensor.rank() != 1) continue;
    std::vector<float> values = reference::random_floats(tensor.numel(), ++seed);
    if (name.ends_with("running_var")) std::ranges::transform(values, values.begin(), [](float value) { return value + 1.5F; });
    Tensor(tensor).copy_from(Tensor::from(values, tensor.shape()));
  }
}

/// Of networks of a few layers, whose convolutions may do the work of norms.
constexpr Tolerance kPredicted{1e-6, 5e-6};

TEST(ModelGraph, ComputesWhatEachLayerPredicts) {
  const Shape shape{2, 4, 7, 9};
  const std::vector<float> x = reference::random_floats(shape.numel(), 3);
  for (auto& [name, layer] : every_layer()) {
    SCOPED_TRACE(name);
    set_values(*layer);
    const Tensor y = layer->predict(Tensor::from(x, shape));
    const ModelGraph graph = graph_of(*layer, shape);
    EXPECT_EQ(graph.values[0], shape);
    EXPECT_EQ(graph.values.at(static_cast<std::size_t>(graph.output)), y.shape());
    EXPECT_EQ(graph.nodes.size() + 1, graph.values.size());
    expect_close(values(y), reference::run_graph(graph, reference::widen(x)), kPredicted);
  }
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
  set_values(model);
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
    set_values(model);
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
