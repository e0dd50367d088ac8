#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/sampling/concat_dataset.h>
#include <gpucnn/data/sampling/subset.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "counted.h"
#include "device_test.h"
#include "epoch_of.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// Twenty images whose labels are `label(i)`.
TensorDataset images(
    Device device, const std::function<std::int32_t(std::int32_t)>& label = [](std::int32_t i) { return i % 3; }) {
  std::vector<std::int32_t> labels;
  for (std::int32_t i = 0; i < 20; ++i) labels.push_back(label(i));
  return {random_tensor({20, 3, 2, 2}, 1, device), Tensor::from(labels, {20}, device)};
}

struct Training {
  explicit Training(DataLoader data) : loader(std::move(data)) {
    const Device device = loader.dataset().device();
    optimizer.emplace((model.init(3).to(device), model.parameters()), AdamOptions{.lr = 1e-2});
  }

  /// `epochs` of a Trainer.
  Metrics train(Loss& loss, int epochs) {
    Trainer trainer(model, *optimizer, loss, loader);
    Metrics seen;
    for (int epoch = 0; epoch < epochs; ++epoch) seen += epoch_of(trainer);
    return seen;
  }

  int forwards() { return model.at<Counted>("0").forwards; }

  Sequential model{Counted(), Flatten(), Linear(12, 8), Dropout(0.5), Linear(8, 3)};
  DataLoader loader;
  std::optional<Adam> optimizer;
};

class SampledTraining : public DeviceTest {
 protected:
  /// A Trainer does with this loader what single steps do, and on a GPU replays what it captured if `captured`.
  void expect_same_as_by_step(const std::function<DataLoader()>& loader, bool captured, Loss& loss) {
    Training trained(loader()), by_step(loader());
    const Metrics seen = trained.train(loss, 4);
    TrainStep step(by_step.model, *by_step.optimizer, loss);
    Metrics expected;
    int steps = 0;
    for (int epoch = 0; epoch < 4; ++epoch) {
      for (const Batch& batch : by_step.loader) {
        expected += step(batch);
        ++steps;
      }
    }
    EXPECT_EQ(seen.images, expected.images);
    EXPECT_NEAR(seen.loss(), expected.loss(), 1e-6);
    expect_close(all_values(trained.model), as_doubles(all_values(by_step.model)), kSum);
    EXPECT_EQ(trained.forwards() < steps, captured && device() != Device::cpu());
  }
  void expect_same_as_by_step(const std::function<DataLoader()>& loader, bool captured) {
    CrossEntropyLoss loss;
    expect_same_as_by_step(loader, captured, loss);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SampledTraining, devices(), device_name);

const std::vector<std::int64_t> kPart{19, 3, 4, 5, 17, 0, 1, 1, 2, 8, 9};

TEST_P(SampledTraining, OverASubsetAlternatesFlipsAsSingleStepsDo) {
  expect_same_as_by_step(
      [&] {
        return DataLoader(Subset(images(device()), kPart), {.batch_size = 4, .shuffle = true, .seed = 5, .alternating_flip = true});
      },
      true);
}

TEST_P(SampledTraining, OverASubsetIsCaptured) {
  expect_same_as_by_step(
      [&] {
        return DataLoader(Subset(images(device()), kPart),
                          {.batch_size = 4, .shuffle = true, .seed = 5, .crop_padding = 1, .flip = true});
      },
      true);
}

TEST_P(SampledTraining, WithWeightsIsCaptured) {
  std::vector<double> weights(20, 1);
  weights[7] = 12;
  for (const bool replacement : {true, false}) {
    expect_same_as_by_step(
        [&] {
          return DataLoader(
              images(device()),
              {.batch_size = 4, .seed = 5, .sampler = {{.weights = weights, .num_samples = 11, .replacement = replacement}}});
        },
        true);
  }
}

TEST_P(SampledTraining, WithMoreDrawsThanExamplesIsCaptured) {
  expect_same_as_by_step(
      [&] {
        return DataLoader(Subset(images(device()), {2, 5, 6}),
                          {.batch_size = 8, .seed = 5, .sampler = {{.weights = {1, 1, 2}, .num_samples = 50}}});
      },
      true);
}

TEST_P(SampledTraining, OfTargetsOverASubsetIsCaptured) {
  MSELoss loss;
  const TensorDataset targets(random_tensor({20, 3, 2, 2}, 1, device()), random_tensor({20, 3}, 2, device()));
  expect_same_as_by_step([&] { return DataLoader(Subset(targets, kPart), {.batch_size = 4, .shuffle = true}); }, true, loss);
}

TEST_P(SampledTraining, OverSeveralSetsRunsStepByStep) {
  expect_same_as_by_step(
      [&] {
        return DataLoader(ConcatDataset(images(device()), images(device())), {.batch_size = 16, .shuffle = true, .flip = true});
      },
      false);
}

TEST_P(SampledTraining, AsksForLabelsOfTheSubsetAlone) {
  const TensorDataset data = images(device(), [](std::int32_t i) { return i == 7 ? 99 : i % 3; });
  CrossEntropyLoss loss;
  Training(DataLoader(Subset(data, kPart), {.batch_size = 4})).train(loss, 1);
  Training other(DataLoader(Subset(data, {1, 2, 7}), {.batch_size = 1}));
  EXPECT_THAT([&] { other.train(loss, 1); }, misuse("99"));
}

}  // namespace
}  // namespace gpucnn
