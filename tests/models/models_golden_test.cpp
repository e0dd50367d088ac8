// The models against torchvision's, and against PyTorch's form of those that it has not: names and shapes of the state, logits, and
// one training step, as tests/golden/cases/record_models.py recorded them in float64.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/models/lenet5.h>
#include <gpucnn/models/resnet.h>
#include <gpucnn/models/resnet9.h>
#include <gpucnn/models/vgg.h>

#include "close.h"
#include "device_test.h"
#include "golden_case.h"
#include "models/drawn_weights.h"

namespace gpucnn {
namespace {

struct Network {
  Sequential (*make)();
  bool small;  ///< small enough for the emulator of a GPU to train it
};

const std::map<std::string, Network> kNetworks{
    {"resnet18", {[] { return resnet18(); }, false}},
    {"resnet34", {[] { return resnet34(); }, false}},
    {"resnet50", {[] { return resnet50(); }, false}},
    {"vgg11_bn", {[] { return vgg11_bn({.num_classes = 10, .dropout = 0}); }, false}},
    {"resnet18_small_stem", {[] { return resnet18({.num_classes = 10, .small_stem = true}); }, false}},
    {"resnet20", {[] { return resnet20(); }, true}},
    {"resnet9", {[] { return resnet9({.width = 8}); }, true}},
    {"lenet5",
     {[] {
        return lenet5({.image = {1, 28, 28}});
      },
      true}},
};

/// The recorded network's state under its own names and shapes, with the values that the formula gives.
StateDict drawn_state(const GoldenCase& recorded) {
  StateDict state;
  for (const nlohmann::json& entry : recorded.options.at("state")) {
    const auto name = entry[0].get<std::string>();
    const Shape shape = Shape::from(entry[1].get<std::vector<std::int64_t>>());
    const bool counts = name.ends_with("num_batches_tracked");
    state.add(name, counts ? Tensor::from(std::vector<std::int64_t>{7}, shape) : drawn(name, shape));
  }
  return state;
}

/// What numbers_of() of the recorder computes: largest, norm, product with the probe, four elements.
std::vector<double> numbers_of(const std::string& name, const Tensor& tensor) {
  const std::vector<float> values = tensor.to_vector<float>();
  const std::uint32_t probe = fnv1a("probe." + name);
  double largest = 0, squares = 0, product = 0;
  for (std::size_t e = 0; e < values.size(); ++e) {
    const double value = values[e];
    largest = std::max(largest, std::abs(value));
    squares += value * value;
    product += value * static_cast<double>(uniform(probe, e));
  }
  std::vector<double> numbers{largest, std::sqrt(squares), product};
  for (std::size_t i = 0; i < 4; ++i) numbers.push_back(values[values.size() * i / 4]);
  return numbers;
}

/// Elements within the bar of the largest one, norm and product within the bar of the norm. `floor` is the size below which all is
/// rounding: the gradient of a bias before a BatchNorm2d is 0.
void expect_numbers(const std::string& name, const Tensor& actual, const Tensor& recorded, double floor) {
  SCOPED_TRACE(name);
  ASSERT_TRUE(actual.defined());
  const std::vector<double> numbers = numbers_of(name, actual), expected = as_doubles(recorded.to_vector<float>());
  ASSERT_EQ(numbers.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double scale = (i == 1 || i == 2 ? expected[1] : expected[0]) + floor;
    EXPECT_NEAR(numbers[i], expected[i], kGoldenStep.of_largest * scale) << "number " << i << " of " << actual.shape().string();
  }
}

const GoldenCase& recording(const std::string& name) {
  static const std::vector<GoldenCase> cases = golden_cases("models");
  return *std::ranges::find(cases, name, &GoldenCase::name);
}

Tensor images(const GoldenCase& recorded, Device device) {
  const auto extent = [&](const char* name) { return recorded.options.at(name).get<std::int64_t>(); };
  const Shape shape{extent("batch"), extent("channels"), extent("side"), extent("side")};
  return Tensor::from(uniforms("images." + std::to_string(extent("draw")), shape.numel()), shape, device);
}

class ModelsGolden : public DeviceTest {
 protected:
  void expect_recorded(const std::string& name) const;
};
INSTANTIATE_TEST_SUITE_P(Devices, ModelsGolden, devices(), device_name);

/// Of networks whose parameters want an emulated GPU with more memory than usual: CTest gives it to them.
class LargeModelsGolden : public ModelsGolden {};
INSTANTIATE_TEST_SUITE_P(Devices, LargeModelsGolden, devices(), device_name);

void ModelsGolden::expect_recorded(const std::string& name) const {
  const Network& network = kNetworks.at(name);
  const GoldenCase& recorded = recording(name);
  Sequential model = network.make();
  model.load_state_dict(drawn_state(recorded));  // strictly: no name and no shape differs
  model.to(device());
  const Tensor x = images(recorded, device());

  if (device().kind == Device::Kind::cuda && !network.small) {
    expect_golden(model.predict(x.narrow(0, 1)), recorded.at("logits").narrow(0, 1), "logits of one image", kGoldenPass);
    return;
  }
  const Tensor logits = model.predict(x);
  expect_golden(logits, recorded.at("logits"), "logits", kGoldenPass);

  std::vector<std::int32_t> labels;
  for (std::int64_t n = 0; n < x.dim(0); ++n) labels.push_back(static_cast<std::int32_t>(n * 5 % logits.dim(1)));
  CrossEntropyLoss criterion;
  const double loss = criterion(model(x), Tensor::from(labels, {x.dim(0)}, device())).item();
  EXPECT_NEAR(loss, recorded.at("loss").item(), kGoldenLoss.relative * std::abs(loss));
  model.backward(criterion.backward());
  double largest = 0;
  for (const auto& [key, numbers] : recorded.with_prefix("grad.")) {
    largest = std::max(largest, double{numbers.to_vector<float>()[0]});
  }
  for (const Parameter& parameter : model.parameters()) {
    const std::string key = "grad." + parameter.name();
    expect_numbers(key, parameter.grad(), recorded.at(key), largest / 100);
  }
  for (const auto& [key, buffer] : model.state_dict()) {
    if (key.ends_with("num_batches_tracked")) {
      EXPECT_EQ(buffer.to_vector<std::int64_t>(), std::vector<std::int64_t>{8}) << key;
    } else if (recorded.has("after." + key)) {
      expect_numbers(key, buffer, recorded.at("after." + key), 0);
    }
  }
}

TEST_P(ModelsGolden, Resnet18IsTorchvisions) { expect_recorded("resnet18"); }

TEST_P(ModelsGolden, Resnet34IsTorchvisions) { expect_recorded("resnet34"); }

TEST_P(ModelsGolden, Resnet50IsTorchvisions) { expect_recorded("resnet50"); }

TEST_P(LargeModelsGolden, Vgg11BnIsTorchvisions) { expect_recorded("vgg11_bn"); }

TEST_P(ModelsGolden, Resnet18WithTheSmallStemIsThatOfTorchvisionsParts) { expect_recorded("resnet18_small_stem"); }

TEST_P(ModelsGolden, Resnet20IsThatOfTorchvisionsBlocks) { expect_recorded("resnet20"); }

TEST_P(ModelsGolden, Resnet9IsPyTorchs) { expect_recorded("resnet9"); }

TEST_P(ModelsGolden, Lenet5IsPyTorchs) { expect_recorded("lenet5"); }

}  // namespace
}  // namespace gpucnn
