// What networks drawn at random predict, and what their C files compute. GPUCNN_RANDOM_NETWORKS says how many (10),
// GPUCNN_RANDOM_SEED the first one's seed (1).
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/io/export_c.h>

#include "close.h"
#include "drawn_test.h"
#include "io/exported_c.h"
#include "reference/values.h"
#include "train/drawn_network.h"

namespace gpucnn {
namespace {

TEST(DrawnNetworksInC, ComputeWhatTheNetworkPredicts) {
  const std::vector<testing::CCompiler> compilers = testing::c_compilers();
  if (compilers.empty()) GTEST_SKIP() << "neither gcc nor clang is installed";
  const std::uint64_t count = variable("GPUCNN_RANDOM_NETWORKS", 10), first = variable("GPUCNN_RANDOM_SEED", 1);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const DrawnNetwork network(seed);
    SCOPED_TRACE("GPUCNN_RANDOM_NETWORKS=1 GPUCNN_RANDOM_SEED=" + std::to_string(seed) + ":\n" + network.model->summary(network.x));
    const Shape shape = network.x.with(0, 1);
    const std::vector<float> x = reference::random_floats(shape.numel(), static_cast<unsigned>(seed));
    const std::vector<float> y = network.model->predict(Tensor::from(x, shape)).to_vector<float>();
    testing::ExportedC exported;
    export_c(*network.model, shape, exported.file());
    ASSERT_NO_FATAL_FAILURE(exported.compile(compilers[seed % compilers.size()], x.size(), y.size()));
    ASSERT_NO_FATAL_FAILURE(expect_close(exported.predict(x), as_doubles(y), kDeep));
  }
}

}  // namespace
}  // namespace gpucnn
