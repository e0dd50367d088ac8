// SimpleCNN against PyTorch's, as tests/golden/README.md describes the recordings.
#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "device_test.h"

namespace gpucnn {
namespace {

constexpr int kSteps = 25;

StateDict golden(const std::string& name) {
  return load_safetensors(std::filesystem::path(__FILE__).parent_path() / "../golden" / (name + ".safetensors")).first;
}

/// What is recorded about one batch size, and the batches as the network sees them, on a device.
class Recording {
 public:
  Recording(std::int64_t batch, Device device)
      : tensors_(golden("simple_cnn_batch" + std::to_string(batch))),
        batch_(batch),
        device_(device),
        pixels_(at("inputs").to_vector<std::uint8_t>()) {}

  const Tensor& at(const std::string& name) const { return tensors_.at(name); }

  Tensor inputs(int step) const { return images(first(step), batch_); }

  /// All batches, in the order of the steps.
  TensorDataset dataset() const {
    const std::int64_t count = at("labels").numel();
    return {images(0, count), at("labels").to(device_)};
  }

  Tensor labels(int step) const { return at("labels").narrow(first(step), batch_).to(device_); }

 private:
  Tensor images(std::int64_t first, std::int64_t count) const {
    constexpr std::size_t kImage = 3 * 32 * 32;
    const std::span<const std::uint8_t> pixels = std::span(pixels_).subspan(static_cast<std::size_t>(first) * kImage);
    std::vector<float> values(static_cast<std::size_t>(count) * kImage);
    std::ranges::transform(pixels.first(values.size()), values.begin(),
                           [](std::uint8_t pixel) { return (static_cast<float>(pixel) - 128.0F) / 32.0F; });
    return Tensor::from(values, {count, 3, 32, 32}, device_);
  }
  std::int64_t first(int step) const { return step * batch_ % at("labels").numel(); }

  StateDict tensors_;
  std::int64_t batch_;
  Device device_;
  std::vector<std::uint8_t> pixels_;
};

/// Equal in shape, and close in value.
void expect_same(const Tensor& actual, const Tensor& expected, Tolerance tolerance) {
  ASSERT_EQ(actual.shape(), expected.shape());
  expect_close(actual.to_vector<float>(), as_doubles(expected.to_vector<float>()), tolerance);
}

class SimpleCNNGolden : public DeviceTest {
 protected:
  /// SimpleCNN with PyTorch's initial weights, and dropout off.
  SimpleCNN initial_model() const {
    SimpleCNN model;
    model.load_state_dict(golden("simple_cnn_initial"));
    model.to(device()).eval();
    return model;
  }

  void expect_25_steps_of_adam(std::int64_t batch) const;
  void expect_25_trainer_steps(std::int64_t batch) const;
  static void expect_recorded(const Recording& recording, const std::vector<float>& losses, SimpleCNN& model);
};
INSTANTIATE_TEST_SUITE_P(Devices, SimpleCNNGolden, devices(), device_name);

TEST_P(SimpleCNNGolden, GivesPyTorchsLogits) {
  const Recording recording(4, device());
  SimpleCNN model = initial_model();
  expect_same(model(recording.inputs(0)), recording.at("logits"), kGoldenPass);
  expect_same(model.predict(recording.inputs(0)), recording.at("logits"), kGoldenPass);
}

TEST_P(SimpleCNNGolden, GivesPyTorchsGradients) {
  const Recording recording(4, device());
  SimpleCNN model = initial_model();
  CrossEntropyLoss criterion;
  criterion(model(recording.inputs(0)), recording.labels(0));
  model.backward(criterion.backward());
  ASSERT_EQ(model.parameters().size(), 8U);
  for (const Parameter& parameter : model.parameters()) {
    SCOPED_TRACE(parameter.name());
    expect_same(parameter.grad(), recording.at("grad." + parameter.name()), kGoldenPass);
  }
}

void SimpleCNNGolden::expect_25_steps_of_adam(std::int64_t batch) const {
  const Recording recording(batch, device());
  SimpleCNN model = initial_model();
  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters());
  std::vector<float> losses;
  for (int step = 0; step < kSteps; ++step) {
    optimizer.zero_grad();
    const Tensor loss = criterion(model(recording.inputs(step)), recording.labels(step));
    model.backward(criterion.backward());
    optimizer.step();
    losses.push_back(loss.item());
  }
  expect_recorded(recording, losses, model);
}

/// By a Trainer, which on a GPU captures the second step and replays the others.
void SimpleCNNGolden::expect_25_trainer_steps(std::int64_t batch) const {
  const Recording recording(batch, device());
  SimpleCNN model = initial_model();
  Adam optimizer(model.parameters());
  DataLoader loader(recording.dataset(), {.batch_size = batch});
  Trainer trainer(model, optimizer, loader);
  std::vector<float> losses;
  while (losses.size() < kSteps) {
    trainer.start_epoch();
    while (losses.size() < kSteps && trainer.step()) losses.push_back(static_cast<float>(trainer.finish().loss()));
  }
  expect_recorded(recording, losses, model);
}

void SimpleCNNGolden::expect_recorded(const Recording& recording, const std::vector<float>& losses, SimpleCNN& model) {
  expect_close(losses, as_doubles(recording.at("losses").to_vector<float>()), kGoldenLoss);
  const StateDict weights = model.state_dict();
  ASSERT_EQ(weights.size(), 8U);
  for (const auto& [name, weight] : weights) {
    SCOPED_TRACE(name);
    expect_same(weight, recording.at("final." + name), kGoldenWeight);
  }
}

TEST_P(SimpleCNNGolden, FollowsPyTorchThrough25StepsOfAdamAtBatch4) { expect_25_steps_of_adam(4); }

TEST_P(SimpleCNNGolden, FollowsPyTorchThrough25StepsOfAdamAtBatch32) { expect_25_steps_of_adam(32); }

TEST_P(SimpleCNNGolden, FollowsPyTorchThrough25TrainerStepsAtBatch4) { expect_25_trainer_steps(4); }

TEST_P(SimpleCNNGolden, FollowsPyTorchThrough25TrainerStepsAtBatch32) { expect_25_trainer_steps(32); }

}  // namespace
}  // namespace gpucnn
