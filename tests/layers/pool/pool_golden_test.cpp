#include <memory>

#include <gtest/gtest.h>

#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "device_test.h"
#include "golden_case.h"

namespace gpucnn {
namespace {

std::unique_ptr<Module> layer_of(const nlohmann::json& o) {
  const auto kind = o.at("layer").get<std::string>();
  if (kind == "AdaptiveAvgPool2d") return std::make_unique<AdaptiveAvgPool2d>(size_of(o.at("output_size")));
  if (kind == "AdaptiveMaxPool2d") return std::make_unique<AdaptiveMaxPool2d>(size_of(o.at("output_size")));
  const Size2 kernel = size_of(o.at("kernel_size")), padding = size_if(o, "padding").value_or(0);
  const auto stride = size_if(o, "stride");
  const bool ceil_mode = o.value("ceil_mode", false);
  if (kind == "MaxPool2d") {
    return std::make_unique<MaxPool2d>(MaxPool2dOptions{kernel, stride, padding, size_if(o, "dilation").value_or(1), ceil_mode});
  }
  AvgPool2dOptions options{kernel, stride, padding, ceil_mode, o.value("count_include_pad", true)};
  if (o.contains("divisor_override")) options.divisor_override = o.at("divisor_override").get<int>();
  return std::make_unique<AvgPool2d>(options);
}

class PoolGolden : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, PoolGolden, devices(), device_name);

TEST_P(PoolGolden, EveryRecordedCaseGivesPyTorchsValuesAndGradients) {
  const auto cases = golden_cases("pool");
  EXPECT_GE(cases.size(), 40U);
  for (const GoldenCase& recorded : cases) {
    const auto layer = layer_of(recorded.options);
    expect_layer_case(recorded, *layer, device());
  }
}

TEST(AvgPool2d, RefusesOptionsOutOfTheirBounds) {
  EXPECT_THROW(AvgPool2d(0), std::invalid_argument);
  EXPECT_THROW(AvgPool2d(2, 0), std::invalid_argument);
  EXPECT_THROW(AvgPool2d(2, 1, 2), std::invalid_argument);
  EXPECT_THROW(AvgPool2d({.kernel_size = 2, .divisor_override = 0}), std::invalid_argument);
}

TEST(AdaptivePool2d, RefusesOutputsAndImagesOfNoPixels) {
  EXPECT_THROW(AdaptiveAvgPool2d(Size2(1, 0)), std::invalid_argument);
  EXPECT_THROW(AdaptiveMaxPool2d(-1), std::invalid_argument);
  EXPECT_THROW(AdaptiveAvgPool2d(1).output_shape({1, 3, 0, 4}), std::invalid_argument);
  EXPECT_THROW(AdaptiveMaxPool2d(1).output_shape({3, 4, 4}), std::invalid_argument);
}

TEST(AdaptivePool2d, TakesABatchOfNoImages) {
  AdaptiveAvgPool2d mean(1);
  EXPECT_EQ(mean(Tensor::zeros({0, 3, 4, 4})).shape(), (Shape{0, 3, 1, 1}));
  AdaptiveMaxPool2d largest(1);
  EXPECT_EQ(largest(Tensor::zeros({0, 3, 4, 4})).shape(), (Shape{0, 3, 1, 1}));
}

}  // namespace
}  // namespace gpucnn
