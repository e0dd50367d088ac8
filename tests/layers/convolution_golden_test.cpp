#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/linear.h>

#include "device_test.h"
#include "golden_case.h"

namespace gpucnn {
namespace {

/// A number, height and width, "same" or "valid", or `sides`: left, right, top and bottom.
Padding2d padding_of(const nlohmann::json& o) {
  if (o.contains("sides")) {
    const nlohmann::json& sides = o.at("sides");
    const auto side = [&](std::size_t i) { return sides[i].get<int>(); };
    return Sides{.top = side(2), .bottom = side(3), .left = side(0), .right = side(1)};
  }
  if (!o.contains("padding")) return 0;
  const nlohmann::json& padding = o.at("padding");
  if (!padding.is_string()) return size_of(padding);
  return padding.get<std::string>() == "same" ? Padding2d::same : Padding2d::valid;
}

std::unique_ptr<Module> layer_of(const GoldenCase& recorded) {
  const nlohmann::json& o = recorded.options;
  const int inputs = static_cast<int>(recorded.at("x").dim(1));
  if (o.at("layer") == "Linear") return std::make_unique<Linear>(inputs, o.at("out_features"), LinearOptions{.bias = o.at("bias")});
  return std::make_unique<Conv2d>(inputs, o.at("out_channels").get<int>(),
                                  Conv2dOptions{.kernel_size = size_of(o.at("kernel_size")),
                                                .stride = size_if(o, "stride").value_or(1),
                                                .padding = padding_of(o),
                                                .dilation = size_if(o, "dilation").value_or(1),
                                                .groups = o.value("groups", 1),
                                                .bias = o.value("bias", true)});
}

class ConvolutionGolden : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ConvolutionGolden, devices(), device_name);

TEST_P(ConvolutionGolden, EveryRecordedCaseGivesPyTorchsValuesAndGradients) {
  const auto cases = golden_cases("convolution");
  EXPECT_GE(cases.size(), 24U);
  for (const GoldenCase& recorded : cases) {
    const auto layer = layer_of(recorded);
    expect_layer_case(recorded, *layer, device());
  }
}

}  // namespace
}  // namespace gpucnn
