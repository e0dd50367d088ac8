// What networks drawn at random predict, and what their graphs compute in float64. GPUCNN_RANDOM_NETWORKS says how many (200),
// GPUCNN_RANDOM_SEED the first one's seed (1).
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/export_onnx.h>
#include <gpucnn/io/import_onnx.h>
#include <gpucnn/layers/graph/model_graph.h>

#include "close.h"
#include "drawn_test.h"
#include "layers/layers.h"
#include "reference/model_graph.h"
#include "train/drawn_network.h"

#include "io/temporary_folder.h"  // behind those: it has a namespace called testing

namespace gpucnn {
namespace {

TEST(DrawnGraphs, ComputeWhatTheNetworkPredicts) {
  const std::uint64_t count = variable("GPUCNN_RANDOM_NETWORKS", 200), first = variable("GPUCNN_RANDOM_SEED", 1);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const DrawnNetwork network(seed);
    SCOPED_TRACE("GPUCNN_RANDOM_NETWORKS=1 GPUCNN_RANDOM_SEED=" + std::to_string(seed) + ":\n" + network.model->summary(network.x));
    const std::vector<float> x = reference::random_floats(network.x.numel(), static_cast<unsigned>(seed));
    const std::vector<float> y = values(network.model->predict(Tensor::from(x, network.x)));
    ModelGraph graph = graph_of(*network.model, network.x);
    const reference::Values expected = reference::run_graph(graph, reference::widen(x));
    ASSERT_NO_FATAL_FAILURE(expect_close(y, expected, kDeep));
    graph.fold_batch_norm();
    ASSERT_NO_FATAL_FAILURE(expect_close(reference::run_graph(graph, reference::widen(x)), expected, kDeep));
  }
}

/// What ONNX has only as several nodes, which no layer is made of again.
bool is_unread(const DataError& error) {
  const std::string text = error.what();
  return text.find("found 'Slice'") != std::string::npos || text.find("found 'Pad'") != std::string::npos;
}

TEST(DrawnGraphs, ComeBackFromOnnx) {
  const std::uint64_t count = variable("GPUCNN_RANDOM_NETWORKS", 200), first = variable("GPUCNN_RANDOM_SEED", 1);
  const testing::TemporaryFolder folder;
  std::uint64_t unread = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const DrawnNetwork network(seed);
    SCOPED_TRACE("GPUCNN_RANDOM_NETWORKS=1 GPUCNN_RANDOM_SEED=" + std::to_string(seed) + ":\n" + network.model->summary(network.x));
    const Tensor x = random_tensor(network.x, static_cast<unsigned>(seed));
    export_onnx(*network.model, network.x, folder / "m.onnx");
    try {
      const ImportedOnnx read = import_onnx(folder / "m.onnx");
      ASSERT_NO_FATAL_FAILURE(expect_close(values(read.model->predict(x)), as_doubles(values(network.model->predict(x))), kDeep));
    } catch (const DataError& error) {
      ASSERT_TRUE(is_unread(error)) << error.what();
      ++unread;
    }
  }
  EXPECT_LT(unread, count / 2);
}

}  // namespace
}  // namespace gpucnn
