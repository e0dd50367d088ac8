#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "epoch_of.h"
#include "misuse.h"
#include "small_training.h"

// Steps that fail: what they leave behind, and how training goes on.
namespace gpucnn {
namespace {

/// Images of f32 in which one is not a number.
DataLoader broken(std::int64_t place, Device device) {
  std::vector<float> pixels = reference::random_floats(std::int64_t{40} * 12, 2);
  pixels[static_cast<std::size_t>(place) * 12] = std::numeric_limits<float>::quiet_NaN();
  const Tensor images = Tensor::from(pixels, {40, 3, 2, 2});
  return DataLoader(TensorDataset(images, Tensor::zeros({40}, DType::i32)).to(device), {.batch_size = 4});
}

TEST_P(TrainerTest, ALossThatIsNotFiniteHoldsTheParametersBeforeIt) {
  for (const std::int64_t step : {1, 2, 3, 7}) {
    SCOPED_TRACE(step);
    Training training(device());
    DataLoader loader = broken(step * 4 - 1, device());
    Trainer trainer(training.model, training.optimizer, loader);
    try {
      epoch_of(trainer);
      FAIL() << "no error";
    } catch (const NonFiniteLoss& error) {
      EXPECT_EQ(error.step(), step);
      EXPECT_THAT(error.what(), testing::StartsWith("the loss became nan at step " + std::to_string(step)));
    }
    Training until(device());
    DataLoader same = broken(step * 4 - 1, device());
    TrainStep by_step(until.model, until.optimizer);
    std::int64_t done = 0;
    for (const Batch& batch : same) {
      if (++done == step) break;
      by_step(batch);
    }
    expect_close(all_values(training.model), as_doubles(all_values(until.model)), kSum);
  }
}

TEST_P(TrainerTest, GoesOnAfterALossThatWasNotFinite) {
  Training training(device()), other(device());
  DataLoader loader = broken(27, device()), same = broken(27, device());  // in batch 7 of 10
  Trainer trainer(training.model, training.optimizer, loader);
  TrainStep step(other.model, other.optimizer);
  EXPECT_THROW(epoch_of(trainer), NonFiniteLoss);
  std::int64_t done = 0;
  for (const Batch& batch : same) {
    if (++done == 8) break;
    if (done == 7) {
      EXPECT_THROW(step(batch), NonFiniteLoss);
    } else {
      step(batch);
    }
  }
  EXPECT_EQ(trainer.steps(), step.steps());
  DataLoader good(bytes(20, {0, 3, 2, 2}, device()), {.batch_size = 4}),
      good_too(bytes(20, {0, 3, 2, 2}, device()), {.batch_size = 4});
  Trainer again(training.model, training.optimizer, good);
  for (int epoch = 0; epoch < 2; ++epoch) {
    epoch_of(again);
    for (const Batch& batch : good_too) step(batch);
  }
  expect_close(all_values(training.model), as_doubles(all_values(other.model)), kSum);
}

TEST_P(TrainerTest, NamesALabelThatIsNoClass) {
  Sequential model{Flatten(), Linear(12, 2)};
  model.to(device());
  Adam optimizer(model.parameters());
  DataLoader loader(bytes(8, {0, 3, 2, 2}, device()), {.batch_size = 4});
  Trainer trainer(model, optimizer, loader);
  EXPECT_THAT([&] { epoch_of(trainer); }, misuse("label 2 at index 2 is outside [0, 2)"));
}

/// All memory that the device still gives, down to a hundred thousand bytes.
std::vector<Tensor> fill(Device device) {
  std::vector<Tensor> blocks;
  for (auto bytes = static_cast<std::int64_t>(backend::free_memory(device)); bytes > 100'000;) {
    try {
      blocks.push_back(Tensor::empty({bytes}, DType::u8, device));
    } catch (const OutOfMemory&) {
      bytes = bytes / 4 * 3;
    }
  }
  return blocks;
}

TEST_P(TrainerTest, OutOfMemoryLeavesEverythingAsItWas) {
  if (device() == Device::cpu()) GTEST_SKIP() << "the memory of this machine is not for a test to fill";
  const auto train = [&](bool in_need) {
    Sequential model{Flatten(), Dropout(0.5), Linear(12, 2000), Linear(2000, 3)};
    model.init(3).to(device());
    Adam optimizer(model.parameters());
    DataLoader loader(bytes(600, {0, 3, 2, 2}, device()), {.batch_size = 200, .shuffle = true});
    Trainer trainer(model, optimizer, loader);
    std::vector<Metrics> epochs;
    for (int epoch = 0; epoch < 3; ++epoch) {
      trainer.start_epoch();
      Metrics seen;
      if (in_need && epoch == 0) {
        empty_cache(device());
        const std::vector<float> before = all_values(model);
        const std::vector<Tensor> blocks = fill(device());
        EXPECT_THROW(trainer.step(), OutOfMemory);
        EXPECT_THROW(trainer.step(), OutOfMemory);
        EXPECT_EQ(trainer.steps(), 0);
        EXPECT_EQ(all_values(model), before);
      }
      while (trainer.step()) seen += trainer.take();
      epochs.push_back(seen += trainer.finish());
      EXPECT_EQ(seen.images, 600);
    }
    EXPECT_EQ(trainer.steps(), 9);
    return std::pair(all_values(model), epochs.back().loss_sum);
  };
  EXPECT_EQ(train(true), train(false));
}

TEST_P(TrainerTest, ASmallerBatchWorksWhereALargeOneHasNoRoom) {
  if (device() == Device::cpu()) GTEST_SKIP() << "the memory of this machine is not for a test to fill";
  Sequential model{Flatten(), Linear(12, 500), Linear(500, 3)};
  model.init(3).to(device());
  Adam optimizer(model.parameters());
  const TensorDataset data = bytes(8000, {0, 3, 2, 2}, device());
  DataLoader large(data, {.batch_size = 8000}), small(data, {.batch_size = 4});
  {
    // CUDA loads a kernel's code when it is first launched, and wants memory for it.
    Trainer first(model, optimizer, small);
    first.start_epoch();
    EXPECT_TRUE(first.step());
    first.finish();
  }
  empty_cache(device());
  Tensor room = Tensor::empty({4'000'000}, DType::u8, device());
  const std::vector<Tensor> blocks = fill(device());
  room = {};
  empty_cache(device());
  Trainer too_much(model, optimizer, large);
  too_much.start_epoch();
  EXPECT_THROW(too_much.step(), OutOfMemory);
  Trainer trainer(model, optimizer, small);
  trainer.start_epoch();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(trainer.step());
  EXPECT_EQ(trainer.finish().images, 20);
}

TEST_P(TrainerTest, ALossThatIsNotFiniteAmidManyStepsEndsThem) {
  const auto until_it_fails = [&](std::int64_t at_most) {
    Sequential model = small_model();
    model.init(3).to(device());
    Adam optimizer(model.parameters());
    Tensor images = Tensor::randn({60, 3, 2, 2}, 1);
    images.view(33 * 12, {1}).copy_from(Tensor::from(std::vector<float>{std::numeric_limits<float>::quiet_NaN()}, {1}));
    std::vector<std::int32_t> labels(60, 1);
    DataLoader loader(TensorDataset(images, Tensor::from(labels, {60})).to(device()), {.batch_size = 3});
    Trainer trainer(model, optimizer, loader);
    trainer.start_epoch();
    std::int64_t step = 0;
    try {
      while (trainer.step(at_most) > 0) {
      }
      trainer.finish();
    } catch (const NonFiniteLoss& error) {
      step = error.step();
    }
    EXPECT_EQ(step, 12);
    EXPECT_EQ(optimizer.steps(), 11);
    EXPECT_EQ(model.random_step(), 12U);
    return all_values(model);
  };
  EXPECT_EQ(until_it_fails(1000), until_it_fails(1));
}

}  // namespace
}  // namespace gpucnn
