#include <cstdint>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/dataset.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/losses/bce_with_logits_loss.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/l1_loss.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/layers/losses/smooth_l1_loss.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"

// Targets may be numbers, in a step, in a Trainer and in one that captures its steps.
namespace gpucnn {
namespace {

class NumberTargets : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, NumberTargets, devices(), device_name);

/// Images whose targets are their own pixels.
struct Pictures : Dataset {
  Tensor images = gpucnn::random_tensor({6, 1, 2, 2}, 3);
  std::int64_t size() const override { return 6; }
  Shape image_shape() const override { return {1, 2, 2}; }
  Batch get(std::span<const std::int64_t> indices) const override {
    std::vector<float> pixels;
    for (const std::int64_t index : indices) {
      for (const float value : values(images.narrow(index, 1))) pixels.push_back(value);
    }
    const auto count = static_cast<std::int64_t>(indices.size());
    return {Tensor::from(pixels, {count, 1, 2, 2}), Tensor::from(pixels, {count, 4})};
  }
};

TEST_P(NumberTargets, NumbersMayBeTargetsInStepAndTrainer) {
  const auto learned = [&](bool by_trainer) {
    Sequential model{Flatten(), Linear(4, 2), Linear(2, 4)};
    model.init(2).to(device());
    SGD optimizer(model.parameters(), {.lr = 0.2});
    MSELoss loss;
    DataLoader loader(Pictures{}, {.batch_size = 4, .device = device()});
    std::vector<double> losses;
    Trainer trainer(model, optimizer, loss, loader);
    TrainStep step(model, optimizer, loss);
    for (int epoch = 0; epoch < 8; ++epoch) {
      Metrics seen;
      if (by_trainer) {
        trainer.start_epoch();
        while (trainer.step()) seen += trainer.take();
        seen += trainer.finish();
      } else {
        for (const Batch& batch : loader) seen += step(batch);
      }
      EXPECT_EQ(seen.images, 6);
      EXPECT_EQ(seen.correct, 0);
      EXPECT_EQ(seen.ignored, 0);
      losses.push_back(seen.loss());
    }
    EXPECT_LT(losses.back(), 0.8 * losses.front());
    const std::vector<float> all = all_values(model);
    losses.insert(losses.end(), all.begin(), all.end());
    return losses;
  };
  EXPECT_EQ(learned(true), learned(false));
}

/// Counts the forwards that the host has made.
struct HostForwards : Module {
  mutable int count = 0;
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    ++count;
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
};

/// Three epochs of 20 images with these targets, in batches of 8, 8 and 4: the parameters, and what was seen.
std::vector<float> learned_from(const Tensor& targets, Loss& loss, bool by_trainer) {
  const Device device = targets.device();
  Sequential model{HostForwards(), Conv2d(1, 3, {.kernel_size = 1})};
  if (targets.rank() == 2) model = Sequential{HostForwards(), Flatten(), Linear(4, 3)};
  model.init(2).to(device);
  SGD optimizer(model.parameters(), {.lr = 0.2});
  const TensorDataset dataset(Tensor::randn({20, 1, 2, 2}, 3, device), targets);
  DataLoader loader(dataset, {.batch_size = 8, .shuffle = true, .crop_padding = 1, .flip = true});
  Trainer trainer(model, optimizer, loss, loader);
  TrainStep step(model, optimizer, loss);
  Metrics seen;
  for (int epoch = 0; epoch < 3; ++epoch) {
    if (by_trainer) {
      trainer.start_epoch();
      while (trainer.step()) {
      }
      seen += trainer.finish();
    } else {
      for (const Batch& batch : loader) seen += step(batch);
    }
  }
  const bool captured = by_trainer && device.kind == Device::Kind::cuda;
  EXPECT_EQ(model.at<HostForwards>("0").count, captured ? 4 : 9);
  EXPECT_EQ(seen.images, 60);
  EXPECT_EQ(seen.correct > 0, loss.takes_probabilities(targets));
  EXPECT_EQ(seen.ignored, 0);
  std::vector<float> all = all_values(model);
  all.push_back(static_cast<float>(seen.loss_sum));
  all.push_back(static_cast<float>(seen.correct));
  return all;
}

TEST_P(NumberTargets, NumbersInADatasetAreServedByACapturedStep) {
  // Each row is the probabilities of three classes.
  std::vector<float> shares;
  for (int i = 0; i < 20; ++i) {
    const float first = static_cast<float>(i % 5) / 8, second = static_cast<float>(i % 4) / 8;
    shares.insert(shares.end(), {first, second, 1 - first - second});
  }
  const Tensor rows = tensor(shares, {20, 3}), planes = random_tensor({20, 3, 2, 2}, 4);
  const auto expect_same = [](const Tensor& targets, auto&& loss) {
    EXPECT_EQ(learned_from(targets, loss, true), learned_from(targets, loss, false));
  };
  expect_same(rows, CrossEntropyLoss());
  expect_same(rows, MSELoss());
  expect_same(rows, L1Loss());
  expect_same(rows, SmoothL1Loss());
  expect_same(rows, BCEWithLogitsLoss());
  expect_same(planes, MSELoss());
}

}  // namespace
}  // namespace gpucnn
