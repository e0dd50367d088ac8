#include <gtest/gtest.h>

#include <gpucnn/layers/norm/batch_norm2d.h>

#include "device_test.h"
#include "golden_case.h"

namespace gpucnn {
namespace {

class NormGolden : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, NormGolden, devices(), device_name);

BatchNorm2dOptions batch_norm_options(const nlohmann::json& json) {
  BatchNorm2dOptions options;
  options.eps = json.value("eps", options.eps);
  options.affine = json.value("affine", options.affine);
  options.track_running_stats = json.value("track_running_stats", options.track_running_stats);
  if (!json.contains("momentum")) return options;
  const nlohmann::json& momentum = json.at("momentum");
  options.momentum = momentum.is_string() ? std::nullopt : std::optional(momentum.get<double>());
  return options;
}

TEST_P(NormGolden, BatchNorm2dGivesWhatPyTorchGives) {
  int count = 0;
  for (const GoldenCase& recorded : golden_cases("norm")) {
    if (recorded.options.at("layer") != "BatchNorm2d") continue;
    BatchNorm2d layer(recorded.options.at("channels").get<int>(), batch_norm_options(recorded.options));
    expect_layer_case(recorded, layer, device());
    ++count;
  }
  EXPECT_EQ(count, 29);
}

}  // namespace
}  // namespace gpucnn
