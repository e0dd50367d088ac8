#include <gpucnn/train/exponential_moving_average.h>

#include <cmath>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/config.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

#include "device_test.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

Sequential network() { return Sequential{BatchNorm2d(3), Flatten(), Linear(12, 5), Linear(5, 2)}; }

std::vector<float> averages(ExponentialMovingAverage& ema) {
  std::vector<float> all;
  for (const auto& [name, tensor] : ema.state_dict()) {
    if (tensor.dtype() != DType::f32) continue;
    for (const float value : tensor.to_vector<float>()) all.push_back(value);
  }
  return all;
}

std::vector<float> own(Module& model) {
  std::vector<float> all;
  for (const auto& [name, tensor] : model.state_dict()) {
    if (tensor.dtype() != DType::f32) continue;
    for (const float value : tensor.to_vector<float>()) all.push_back(value);
  }
  return all;
}

class ExponentialMovingAverageTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (!IsSkipped()) model.init(1).to(device());
  }
  /// Other weights and buffers.
  void learn(unsigned seed) {
    model.init(seed);
    model(random_tensor({4, 3, 2, 2}, seed, device()));
  }
  Sequential model = network();
};
INSTANTIATE_TEST_SUITE_P(Devices, ExponentialMovingAverageTest, devices(), device_name);

TEST_P(ExponentialMovingAverageTest, KeepsItsStateWhenTheModelMovesToOtherMemory) {
  ExponentialMovingAverage ema(model, {.decay = 0.5});
  learn(2);
  ema.update();
  const StateDict before = ema.state_dict();
  const std::vector<float> values_before = averages(ema);
  const auto change = [&] {
    model.push_back(Identity());
    model.predict(random_tensor({1, 3, 2, 2}, 1, device()));
  };
  change();
  EXPECT_EQ(averages(ema), values_before);
  change();
  EXPECT_NO_THROW(ema.load_state_dict(before));
  EXPECT_EQ(averages(ema), values_before);
  change();
  learn(3);
  ema.copy_to(model);
  EXPECT_EQ(own(model), values_before);
}

TEST_P(ExponentialMovingAverageTest, BeginsAsTheModelAndCopiesFirst) {
  ExponentialMovingAverage ema(model, {.decay = 0.5});
  const std::vector<float> before = own(model);
  EXPECT_EQ(averages(ema), before);
  EXPECT_EQ(ema.n_averaged(), 0);
  learn(2);
  EXPECT_EQ(averages(ema), before);
  ema.update();
  EXPECT_EQ(averages(ema), own(model));
  EXPECT_EQ(ema.n_averaged(), 1);
}

TEST_P(ExponentialMovingAverageTest, IsInTheModelWhileItIsApplied) {
  ExponentialMovingAverage ema(model, {.decay = 0.5});
  ema.update();
  learn(2);
  ema.update();
  const std::vector<float> before = own(model), mean = averages(ema);
  EXPECT_NE(before, mean);
  {
    const ExponentialMovingAverage::Applied applied(ema);
    EXPECT_EQ(own(model), mean);
    EXPECT_EQ(averages(ema), mean);
    EXPECT_THROW(ema.update(), std::logic_error);
    EXPECT_THROW(ExponentialMovingAverage::Applied{ema}, std::logic_error);
  }
  EXPECT_EQ(own(model), before);
  EXPECT_EQ(averages(ema), mean);
  ema.update();
  EXPECT_EQ(ema.n_averaged(), 3);
}

TEST_P(ExponentialMovingAverageTest, FollowsTheModelToAnotherDevice) {
  ExponentialMovingAverage ema(model, {.decay = 0.5});
  ema.update();
  learn(2);
  const std::vector<float> before = own(model), mean = averages(ema);
  std::optional<ExponentialMovingAverage::Applied> applied(ema);
  model.to(Device::cpu());
  EXPECT_EQ(own(model), mean);
  applied.reset();
  EXPECT_EQ(own(model), before);
  ema.update();
  EXPECT_EQ(ema.state_dict().at("n_averaged").device(), Device::cpu());
  EXPECT_EQ(ema.n_averaged(), 2);
  model.to(device());
  ema.update();
  EXPECT_EQ(ema.n_averaged(), 3);
}

TEST_P(ExponentialMovingAverageTest, GoesOnFromItsStateExactly) {
  ExponentialMovingAverage ema(model, {.decay = 0.9});
  ema.update();
  const StateDict state = ema.state_dict();
  learn(2);
  ema.update();
  Sequential again = network();
  again.init(7).load_state_dict(model.state_dict());
  again.to(device());
  ExponentialMovingAverage resumed(again, {.decay = 0.9});
  resumed.load_state_dict(state);
  EXPECT_EQ(resumed.n_averaged(), 1);
  resumed.update();
  EXPECT_EQ(averages(resumed), averages(ema));
  Sequential copy = network();
  ema.copy_to(copy);
  EXPECT_EQ(own(copy), averages(ema));
  ema.copy_to(model);
  EXPECT_EQ(own(model), averages(ema));
}

TEST(ExponentialMovingAverageOfAPart, LeavesTheRestAlone) {
  Sequential whole{{"body", network()}, {"head", Linear(2, 2)}};
  whole.init(1);
  Module& part = whole.at("body.2");
  ExponentialMovingAverage ema(part, {.decay = 0.5});
  ema.update();
  EXPECT_EQ(ema.state_dict().size(), 3U);
  EXPECT_EQ(ema.state_dict().at("module.weight").shape(), (Shape{5, 12}));
  EXPECT_EQ(averages(ema), own(part));
}

TEST(ExponentialMovingAverageOf, RefusesWhatItCannotAverage) {
  Sequential model = network(), nothing{Flatten()};
  EXPECT_THAT([&] { ExponentialMovingAverage(model, {.decay = 1.1}); },
              misuse("ExponentialMovingAverage: decay must be in [0, 1], got 1.1"));
  EXPECT_THAT([&] { ExponentialMovingAverage(model, {.decay = std::nan("")}); }, misuse("decay must be in [0, 1], got nan"));
  EXPECT_THAT([&] { ExponentialMovingAverage{nothing}; }, misuse("ExponentialMovingAverage: the model has no parameters"));
  ExponentialMovingAverage ema(model);
  EXPECT_THAT([&] { ema.copy_to(nothing); }, misuse("load_state_dict: unexpected"));
  StateDict state;
  state.add("n_averaged", Tensor::zeros({}, DType::i64));
  EXPECT_THAT([&] { ema.load_state_dict(state); }, misuse("module.0.weight"));
  StateDict more = ema.state_dict();
  more.add("more", Tensor::zeros({}));
  EXPECT_THAT([&] { ema.load_state_dict(more); }, misuse("ExponentialMovingAverage::load_state_dict: unexpected more"));
  EXPECT_THAT([&] { ema.load_state_dict(model.state_dict()); },
              testing::ThrowsMessage<std::invalid_argument>(testing::Not(testing::HasSubstr("strict"))));
  StateDict negative;
  for (const auto& [name, tensor] : ema.state_dict()) {
    negative.add(name, name == "n_averaged" ? Tensor::from(std::vector<std::int64_t>{-1}, {}) : tensor);
  }
  EXPECT_THAT([&] { ema.load_state_dict(negative); }, misuse("n_averaged is negative"));
  model = Sequential{BatchNorm2d(3), Flatten(), Linear(12, 2)};
  EXPECT_THROW(ema.update(), std::logic_error);
}

}  // namespace
}  // namespace gpucnn
