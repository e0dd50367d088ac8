#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/graph/model_graph.h>
#include <gpucnn/models/make_model.h>

#include "close.h"
#include "layers/layers.h"
#include "reference/model_graph.h"

namespace gpucnn {
namespace {

/// f32 through up to 50 layers.
constexpr Tolerance kDeep{0, 1e-5};

/// vgg11_bn is left out: its half gigabyte of weights shows nothing that the others do not.
TEST(ModelGraphs, ComputeWhatTheModelsPredict) {
  for (const std::string_view name : model_names()) {
    if (name == "vgg11_bn") continue;
    SCOPED_TRACE(name);
    const int side = name == "lenet5" ? 12 : 8;
    const Shape image{3, side, side}, shape{2, 3, side, side};
    const auto model = make_model(name, image, 10, name == "resnet9" ? std::optional(8) : std::nullopt);
    const std::vector<float> x = reference::random_floats(shape.numel(), 1);
    const ModelGraph graph = graph_of(*model, shape);
    expect_close(values(model->predict(Tensor::from(x, shape))), reference::run_graph(graph, reference::widen(x)), kDeep);
  }
}

}  // namespace
}  // namespace gpucnn
