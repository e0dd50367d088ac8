#include <gtest/gtest.h>

#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>

#include "device_test.h"
#include "golden_case.h"
#include "misuse.h"

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

TEST_P(NormGolden, GroupNormGivesWhatPyTorchGives) {
  int count = 0;
  for (const GoldenCase& recorded : golden_cases("norm")) {
    const nlohmann::json& json = recorded.options;
    if (json.at("layer") != "GroupNorm") continue;
    GroupNorm layer(json.at("groups").get<int>(), json.at("channels").get<int>(),
                    {.eps = json.value("eps", 1e-5), .affine = json.value("affine", true)});
    expect_layer_case(recorded, layer, device());
    ++count;
  }
  EXPECT_EQ(count, 13);
}

TEST(GroupNorm, RefusesOptionsAndShapesThatMakeNoSense) {
  EXPECT_THAT([] { GroupNorm(3, 4); }, misuse("GroupNorm: num_groups must be positive and divide num_channels, got 3 groups of 4"));
  EXPECT_THAT([] { GroupNorm(0, 4); }, misuse("GroupNorm: num_groups must be positive"));
  EXPECT_THAT([] { GroupNorm(2, 4, {.eps = -1}); }, misuse("GroupNorm: eps must be finite in f32 and at least 0, got -1"));
  EXPECT_THAT([] { GroupNorm(2, 4, {.eps = 1e300}); }, misuse("GroupNorm: eps must be finite in f32 and at least 0, got 1e+300"));
  GroupNorm layer(4, 4);
  EXPECT_THAT([&] { layer(Tensor::zeros({2, 3, 2, 2})); }, misuse("GroupNorm: expects [N, 4, H, W], got [2, 3, 2, 2]"));
  EXPECT_THAT([&] { layer(Tensor::zeros({1, 4, 1, 1})); }, misuse("GroupNorm: expected more than 1 value per group"));
}

}  // namespace
}  // namespace gpucnn
