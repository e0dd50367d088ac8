#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/gradcheck.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/pool/upsample.h>

#include "device_test.h"
#include "golden_case.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/dropout.h"

namespace gpucnn {
namespace {

/// A number, or a list of height and width.
Size2 size_of(const nlohmann::json& value) {
  return value.is_array() ? Size2(value[0].get<int>(), value[1].get<int>()) : Size2(value.get<int>());
}

std::unique_ptr<Module> layer_of(const nlohmann::json& o) {
  const auto kind = o.at("layer").get<std::string>();
  if (kind == "GELU") return std::make_unique<GELU>(o.value("approximate", "none"));
  if (kind == "SiLU") return std::make_unique<SiLU>();
  if (kind == "Hardswish") return std::make_unique<Hardswish>();
  if (kind == "Sigmoid") return std::make_unique<Sigmoid>();
  if (kind == "Tanh") return std::make_unique<Tanh>();
  if (kind == "Softmax") return std::make_unique<Softmax>(o.at("dim").get<int>());
  if (kind == "Upsample") return std::make_unique<Upsample>(size_of(o.at("scale_factor")));
  if (kind == "Dropout2d") return std::make_unique<Dropout2d>(o.at("p").get<double>());
  if (kind == "Identity") return std::make_unique<Identity>();
  throw std::invalid_argument(kind);
}

class ActivationsGolden : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ActivationsGolden, devices(), device_name);

TEST_P(ActivationsGolden, EveryRecordedCaseGivesPyTorchsValuesAndGradients) {
  const auto cases = golden_cases("activations");
  EXPECT_GE(cases.size(), 36U);
  for (const GoldenCase& recorded : cases) {
    const auto layer = layer_of(recorded.options);
    expect_layer_case(recorded, *layer, device());
  }
}

TEST_P(ActivationsGolden, GradientsAreTheNumericOnes) {
  GELU gelu, gelu_tanh("tanh");
  SiLU silu;
  Hardswish hardswish;
  Sigmoid sigmoid;
  Tanh tanh;
  Softmax softmax;
  Upsample upsample({2, 3});
  Dropout2d dropout2d(0.5);
  for (Module* layer :
       std::initializer_list<Module*>{&gelu, &gelu_tanh, &silu, &hardswish, &sigmoid, &tanh, &softmax, &upsample, &dropout2d}) {
    SCOPED_TRACE(typeid(*layer).name());
    layer->to(device());
    const GradcheckResult result = gradcheck(*layer, {2, 3, 3, 3});
    EXPECT_GE(result.compared, layer == &hardswish ? 45 : 54);
  }
}

TEST(GELU, RefusesOtherApproximations) {
  EXPECT_EQ(GELU().function().kind, Activation::gelu);
  EXPECT_EQ(GELU("tanh").function().kind, Activation::gelu_tanh);
  EXPECT_THAT([] { GELU("erf"); }, misuse("GELU: approximate must be \"none\" or \"tanh\", got \"erf\""));
}

class Dropout2dLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Dropout2dLayer, devices(), device_name);

TEST_P(Dropout2dLayer, DropsWholeChannelsByTheSameMaskInBothDirections) {
  constexpr std::int64_t kImages = 40, kChannels = 50, kPixels = 6;
  Sequential model{Identity(), Dropout2d(0.3)};
  model.init(6).set_input_grad(true).to(device());
  const Shape shape{kImages, kChannels, 2, 3};
  for (std::uint64_t forwards = 0; forwards < 2; ++forwards) {
    const RandomStream random(6, Purpose::dropout, /*place=*/2, forwards);
    const std::vector<float> y = values(model(full(shape, 1)));
    expect_close(y, reference::dropout2d(reference::Values(y.size(), 1.0), kPixels, 0.3, random), kPointwise);
    EXPECT_NEAR(static_cast<double>(std::ranges::count(y, 0.0F)) / static_cast<double>(y.size()), 0.3, 0.04);
    EXPECT_EQ(values(model.backward(full(shape, 1))), y);
  }
  model.eval();
  EXPECT_EQ(values(model(full(shape, 1))), std::vector<float>(static_cast<std::size_t>(shape.numel()), 1));
}

TEST_P(Dropout2dLayer, LayersWithoutWeightsTakeABatchOfNoImages) {
  Sequential model{Identity(), GELU(), SiLU(), Hardswish(), Sigmoid(), Tanh(), Dropout2d(), Upsample(2), Softmax()};
  model.set_input_grad(true).to(device());
  EXPECT_EQ(model(zeros({0, 3, 4, 5})).shape(), (Shape{0, 3, 8, 10}));
  EXPECT_EQ(model.backward(zeros({0, 3, 8, 10})).shape(), (Shape{0, 3, 4, 5}));
}

TEST(LayersWithoutWeights, RefuseWhatMakesNoSense) {
  EXPECT_EQ(Dropout2d().p(), 0.5);
  EXPECT_THAT([] { Dropout2d(1.1); }, misuse("Dropout2d: p must be from 0 to 1, got 1.1"));
  EXPECT_THAT([] { Dropout2d layer(std::nan("")); }, misuse("Dropout2d: p must be from 0 to 1, got nan"));
  EXPECT_THAT([] { Dropout2d()(Tensor::zeros({2, 3})); }, misuse("Dropout2d: expects [N, C, H, W], got [2, 3]"));
  EXPECT_THAT([] { Softmax(2); }, misuse("Softmax: dim must be 1, that of the channels, got 2"));
  EXPECT_THAT([] { Softmax()(Tensor::zeros({2, 3, 4})); }, misuse("Softmax: expects [N, C] or [N, C, H, W], got [2, 3, 4]"));
  EXPECT_THAT([] { Upsample({2, 0}); }, misuse("Upsample: scale_factor must be positive, got 2x0"));
  EXPECT_THAT([] { Upsample(2)(Tensor::zeros({2, 3, 4})); }, misuse("Upsample: expects [N, C, H, W], got [2, 3, 4]"));
  EXPECT_THAT([] { Upsample(2)(Tensor::zeros({2, 3, 0, 4})); }, misuse("Upsample: images of [2, 3, 0, 4] have no pixel"));
}

}  // namespace
}  // namespace gpucnn
