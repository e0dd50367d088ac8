#include <gpucnn/train/trainer.h>

#include <algorithm>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>

#include "close.h"
#include "epoch_of.h"
#include "small_training.h"

namespace gpucnn {
namespace {

INSTANTIATE_TEST_SUITE_P(Devices, TrainerTest, devices(), device_name);

TEST_P(TrainerTest, DoesWhatTrainStepDoes) {
  Training trained(device()), by_step(device());
  Trainer trainer(trained.model, trained.optimizer, trained.loader);
  TrainStep step(by_step.model, by_step.optimizer);
  for (int epoch = 0; epoch < 5; ++epoch) {
    SCOPED_TRACE(epoch);
    Metrics expected;
    for (const Batch& batch : by_step.loader) expected += step(batch);
    const Metrics seen = epoch_of(trainer);
    EXPECT_EQ(seen.images, 25);
    EXPECT_EQ(seen.correct, expected.correct);
    EXPECT_NEAR(seen.loss(), expected.loss(), 1e-6);
    expect_close(all_values(trained.model), as_doubles(all_values(by_step.model)), kSum);
  }
  EXPECT_EQ(trainer.steps(), 15);
}

TEST_P(TrainerTest, GivesTheSameBitsInEveryRun) {
  const auto run = [&] {
    Training training(device());
    Trainer trainer(training.model, training.optimizer, training.loader);
    for (int epoch = 0; epoch < 3; ++epoch) epoch_of(trainer);
    return all_values(training.model);
  };
  EXPECT_EQ(run(), run());
}

TEST_P(TrainerTest, FollowsTheLearningRate) {
  Training trained(device()), by_step(device());
  Trainer trainer(trained.model, trained.optimizer, trained.loader);
  TrainStep step(by_step.model, by_step.optimizer);
  for (const double lr : {1e-2, 5e-3, 0.0, 1e-3}) {
    trained.optimizer.set_lr(lr);
    by_step.optimizer.set_lr(lr);
    const std::vector<float> before = all_values(trained.model);
    epoch_of(trainer);
    for (const Batch& batch : by_step.loader) step(batch);
    expect_close(all_values(trained.model), as_doubles(all_values(by_step.model)), kSum);
    EXPECT_EQ(all_values(trained.model) == before, lr == 0.0);
  }
}

TEST_P(TrainerTest, WorksWithSgdAndItsMomentum) {
  Training trained(device()), by_step(device());
  SGD optimizer(trained.model.parameters(), {.lr = 0.05, .momentum = 0.9}),
      same(by_step.model.parameters(), {.lr = 0.05, .momentum = 0.9});
  Trainer trainer(trained.model, optimizer, trained.loader);
  TrainStep step(by_step.model, same);
  for (int epoch = 0; epoch < 3; ++epoch) {
    epoch_of(trainer);
    for (const Batch& batch : by_step.loader) step(batch);
  }
  expect_close(all_values(trained.model), as_doubles(all_values(by_step.model)), kSum);
}

TEST_P(TrainerTest, MixesWithStepsByHandAndPredictions) {
  Training trained(device()), by_step(device());
  Trainer trainer(trained.model, trained.optimizer, trained.loader);
  TrainStep by_hand(trained.model, trained.optimizer), step(by_step.model, by_step.optimizer);
  const Batch extra{random_tensor({4, 3, 2, 2}, 9).to(device()), Tensor::from(std::vector{0, 1, 2, 1}, {4}, device())};
  for (int epoch = 0; epoch < 3; ++epoch) {
    epoch_of(trainer);
    by_hand(extra);
    evaluate(trained.model, extra);
    for (const Batch& batch : by_step.loader) step(batch);
    step(extra);
  }
  expect_close(all_values(trained.model), as_doubles(all_values(by_step.model)), kSum);
  for (const Parameter& parameter : trained.model.parameters()) EXPECT_TRUE(parameter.has_grad());
}

TEST_P(TrainerTest, ATensorHeldKeepsItsValuesWhileStepsAreReplayed) {
  Training training(device());
  Trainer trainer(training.model, training.optimizer, training.loader);
  for (int epoch = 0; epoch < 2; ++epoch) epoch_of(trainer);
  std::vector<Tensor> held;
  for (unsigned i = 0; i < 8; ++i) held.push_back(training.model.predict(random_tensor({10, 3, 2, 2}, i).to(device())));
  std::vector<std::vector<float>> before;
  for (const Tensor& tensor : held) before.push_back(values(tensor));
  epoch_of(trainer);
  for (std::size_t i = 0; i < held.size(); ++i) EXPECT_EQ(values(held[i]), before[i]) << i;
}

TEST_P(TrainerTest, CountsWhatIsRightInLargeBatches) {
  Sequential model{Flatten(), Linear(12, 3)};
  model.init(3).to(device());
  SGD optimizer(model.parameters(), {.lr = 0});
  const TensorDataset data = bytes(1300, {0, 3, 2, 2}, device());
  DataLoader loader(data, {.batch_size = 1300}), all(data, {.batch_size = 1300});
  Trainer trainer(model, optimizer, loader);
  const Metrics expected = evaluate(model, *all.begin());
  EXPECT_GT(expected.correct, 300);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const Metrics seen = epoch_of(trainer);
    EXPECT_EQ(seen.images, 1300);
    EXPECT_EQ(seen.correct, expected.correct);
    EXPECT_NEAR(seen.loss(), expected.loss(), 1e-6);
  }
}

TEST_P(TrainerTest, LearnsAsTheCpuDoes) {
  const auto losses_on = [](Device where) {
    SimpleCNN model(3);
    model.init(1).to(where);
    Adam optimizer(model.parameters());
    DataLoader loader(bytes(48, {0, 3, 32, 32}, where), {.batch_size = 20, .shuffle = true, .crop_padding = 4, .flip = true});
    Trainer trainer(model, optimizer, loader);
    std::vector<double> losses;
    for (int epoch = 0; epoch < 4; ++epoch) losses.push_back(epoch_of(trainer).loss());
    return losses;
  };
  // Adam divides by what is small at first, and a last bit grows; the recordings of tests/golden/ are chosen to hold 1e-5.
  expect_close(losses_on(device()), losses_on(Device::cpu()), {1e-4, 0});
}

TEST_P(TrainerTest, HasNoStepBeforeAnEpochAndAfterIt) {
  Training training(device());
  Trainer trainer(training.model, training.optimizer, training.loader);
  EXPECT_FALSE(trainer.step());
  epoch_of(trainer);
  EXPECT_FALSE(trainer.step());
  EXPECT_EQ(trainer.steps(), 3);
  trainer.start_epoch();
  EXPECT_TRUE(trainer.step());
  trainer.start_epoch();  // ends the epoch before its end
  EXPECT_TRUE(trainer.step());
  EXPECT_TRUE(trainer.step());
  EXPECT_TRUE(trainer.step());
  EXPECT_FALSE(trainer.step());
  EXPECT_EQ(trainer.finish().images, 35);
}

TEST_P(TrainerTest, AsksForNoMemoryOnceItHasMetEachBatchSize) {
  Training training(device());
  Trainer trainer(training.model, training.optimizer, training.loader);
  for (int epoch = 0; epoch < 3; ++epoch) epoch_of(trainer);
  const AllocatorStats before = allocator_stats(device());
  for (int epoch = 0; epoch < 5; ++epoch) epoch_of(trainer);
  const AllocatorStats after = allocator_stats(device());
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_EQ(after.in_use, before.in_use);
}

/// 19 batches of 3 and one of 2, in epochs of up to `at_most` steps a call.
std::vector<float> taught(Device device, std::int64_t at_most, Optimizer& (*make)(Sequential&, std::unique_ptr<Optimizer>&),
                          Metrics& seen, std::vector<std::int64_t>& taken) {
  Sequential model = small_model();
  model.init(3).to(device);
  std::unique_ptr<Optimizer> holder;
  Optimizer& optimizer = make(model, holder);
  DataLoader loader(bytes(59, {0, 3, 2, 2}, device), {.batch_size = 3, .shuffle = true, .seed = 5, .flip = true});
  Trainer trainer(model, optimizer, loader);
  for (int epoch = 0; epoch < 4; ++epoch) {
    optimizer.set_lr(0.01 / (epoch + 1));
    trainer.start_epoch();
    for (std::int64_t steps = 1; steps > 0;) {
      taken.push_back(steps = trainer.step(at_most));
      seen += trainer.take();
    }
    seen += trainer.finish();
  }
  EXPECT_EQ(trainer.steps(), 80);
  EXPECT_EQ(optimizer.steps(), 80);
  EXPECT_EQ(model.random_step(), 80U);
  return all_values(model);
}

TEST_P(TrainerTest, ManyStepsAtOnceAreTheStepsOneByOne) {
  const auto adam = [](Sequential& model, std::unique_ptr<Optimizer>& holder) -> Optimizer& {
    return *(holder = std::make_unique<Adam>(model.parameters()));
  };
  const auto sgd = [](Sequential& model, std::unique_ptr<Optimizer>& holder) -> Optimizer& {
    return *(holder = std::make_unique<SGD>(model.parameters(), SGDOptions{.lr = 0.1, .momentum = 0.9}));
  };
  for (Optimizer& (*make)(Sequential&, std::unique_ptr<Optimizer>&) : {+adam, +sgd}) {
    Metrics one_by_one, at_once;
    std::vector<std::int64_t> ones, many;
    const std::vector<float> expected = taught(device(), 1, make, one_by_one, ones);
    EXPECT_EQ(taught(device(), 1000, make, at_once, many), expected);
    EXPECT_EQ(at_once.images, one_by_one.images);
    EXPECT_EQ(at_once.correct, one_by_one.correct);
    EXPECT_EQ(at_once.loss_sum, one_by_one.loss_sum);
    EXPECT_EQ(std::ranges::count(many, Trainer::kStepsAtOnce), device().kind == Device::Kind::cuda ? 8 : 0) << "two an epoch";
  }
}

}  // namespace
}  // namespace gpucnn
