#include <gpucnn/train/fit.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/threads/threads.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/schedules/one_cycle_lr.h>
#include <gpucnn/optim/schedules/reduce_lr_on_plateau.h>
#include <gpucnn/optim/schedules/step_lr.h>
#include <gpucnn/train/train_step.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// Images of one colour, whose label is the channel that is bright.
TensorDataset colours(std::int64_t size) {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  for (std::int64_t n = 0; n < size; ++n) {
    labels.push_back(static_cast<std::int32_t>(n % 3));
    for (std::int64_t channel = 0; channel < 3; ++channel) images.insert(images.end(), 4, channel == n % 3 ? 1.0F : 0.2F);
  }
  return {Tensor::from(images, {size, 3, 2, 2}), Tensor::from(labels, {size})};
}

class Fit : public testing::Test {
 protected:
  Sequential model{Flatten(), Dropout(0.2), Linear(12, 3)};
  Adam optimizer{model.parameters(), {.lr = 0.05}};
  DataLoader train{colours(25), {.batch_size = 10, .shuffle = true}};
  DataLoader test{colours(9), {.batch_size = 4}};
};

TEST_F(Fit, LearnsAndKeepsAHistory) {
  const FitResult result = fit(model, optimizer, train, test, {.epochs = 8});
  ASSERT_EQ(result.epochs.size(), 8U);
  EXPECT_FALSE(result.stopped);
  double best = -1;
  for (std::size_t i = 0; i < 8; ++i) {
    const EpochResult& epoch = result.epochs[i];
    EXPECT_EQ(epoch.epoch, static_cast<int>(i) + 1);
    EXPECT_EQ(epoch.train.images, 25);
    EXPECT_EQ(epoch.test.images, 9);
    EXPECT_EQ(epoch.lr, 0.05);
    EXPECT_GT(epoch.seconds, 0);
    EXPECT_GT(epoch.images_per_second, 0);
    EXPECT_EQ(epoch.best, epoch.test.accuracy() > best) << i;
    best = std::max(best, epoch.test.accuracy());
  }
  EXPECT_LT(result.epochs.back().train.loss(), result.epochs.front().train.loss());
  EXPECT_EQ(best, 1.0);
  EXPECT_EQ(std::ranges::count(result.epochs, true, &EpochResult::best) > 0, result.epochs.front().best);
  Metrics judged;
  for (const Batch& batch : test) judged += evaluate(model, batch);
  EXPECT_EQ(judged.loss_sum, result.epochs.back().test.loss_sum);
}

TEST_F(Fit, JudgesByALossOfItsOwn) {
  CrossEntropyLoss smoothed({.label_smoothing = 0.3}), plain;
  const FitResult result = fit(model, optimizer, smoothed, train, test, {.epochs = 2, .test_loss = &plain});
  Metrics judged;
  for (const Batch& batch : test) judged += evaluate(model, plain, batch);
  EXPECT_EQ(judged.loss_sum, result.epochs.back().test.loss_sum);
}

TEST_F(Fit, JudgesBatchesWhoseLabelsAreAllIgnored) {
  const TensorDataset all = colours(8);
  std::vector<std::int32_t> labels = all.labels().to_vector<std::int32_t>();
  std::fill(labels.begin(), labels.begin() + 4, -100);
  for (const std::int64_t batch_size : {4, 2}) {
    DataLoader judged{TensorDataset(all.images(), Tensor::from(labels, {8})), {.batch_size = batch_size}};
    const Metrics seen = fit(model, optimizer, train, judged, {.epochs = 1}).epochs.back().test;
    EXPECT_EQ(seen.images, 8);
    EXPECT_EQ(seen.ignored, 4);
    const Metrics rest = evaluate(model, {all.images().narrow(4, 4), all.labels().narrow(4, 4)});
    EXPECT_NEAR(seen.loss(), rest.loss(), 1e-6);
    EXPECT_EQ(seen.correct, rest.correct);
  }
  const Metrics none = evaluate(model, {all.images().narrow(0, 2), Tensor::from(std::vector{-100, -100}, {2})});
  EXPECT_EQ(none.loss_sum, 0);
  EXPECT_EQ(none.ignored, 2);
  TrainStep step(model, optimizer);
  EXPECT_THROW(step({all.images().narrow(0, 2), Tensor::from(std::vector{-100, -100}, {2})}), NonFiniteLoss);
}

TEST_F(Fit, TellsOfEveryStepAndEpoch) {
  std::vector<std::int64_t> images;
  std::vector<int> epochs;
  const FitOptions options{.epochs = 2,
                           .on_step =
                               [&](const Progress& progress) {
                                 EXPECT_EQ(progress.epochs, 2);
                                 EXPECT_EQ(progress.epoch, static_cast<int>(epochs.size()) + 1);
                                 EXPECT_EQ(progress.images, 25);
                                 images.push_back(progress.train.images);
                               },
                           .on_epoch = [&](const EpochResult& epoch) { epochs.push_back(epoch.epoch); }};
  fit(model, optimizer, train, test, options);
  EXPECT_EQ(images, (std::vector<std::int64_t>{10, 20, 25, 10, 20, 25}));
  EXPECT_EQ(epochs, (std::vector<int>{1, 2}));
}

TEST_F(Fit, CountsTheImagesThatALoaderDelivers) {
  DataLoader whole_batches(colours(25), {.batch_size = 10, .drop_last = true});
  std::int64_t images = 0;
  const FitResult result = fit(model, optimizer, whole_batches, test,
                               {.epochs = 1, .on_step = [&](const Progress& progress) { images = progress.images; }});
  EXPECT_EQ(images, 20);
  EXPECT_EQ(result.epochs[0].train.images, 20);
}

TEST_F(Fit, StopsAfterAStepOrATestBatch) {
  for (const int wanted : {1, 2, 4, 5}) {
    SCOPED_TRACE(wanted);
    int asked = 0, steps = 0;
    const FitResult result =
        fit(model, optimizer, train, test,
            {.epochs = 3, .on_step = [&](const Progress&) { ++steps; }, .stop = [&] { return ++asked == wanted; }});
    EXPECT_TRUE(result.stopped);
    EXPECT_TRUE(result.epochs.empty());
    EXPECT_EQ(steps, std::min(wanted, 3));
    EXPECT_EQ(asked, wanted);
  }
  int asked = 0;
  const FitResult result = fit(model, optimizer, train, test, {.epochs = 3, .stop = [&] { return ++asked == 7; }});
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.epochs.size(), 1U);
}

TEST_F(Fit, TrainsInTrainingModeAndGivesEveryModuleItsModeBack) {
  model.eval();
  model.at("2").train();
  const FitOptions options{.epochs = 1,
                           .on_step = [&](const Progress&) { EXPECT_TRUE(model.training() && model.at("1").training()); }};
  const auto expect_modes = [&] {
    EXPECT_FALSE(model.training() || model.at("1").training());
    EXPECT_TRUE(model.at("2").training());
  };
  fit(model, optimizer, train, test, options);
  expect_modes();
  model.at<Linear>("2").weight().set_value(Tensor::full({3, 12}, std::numeric_limits<float>::infinity()));
  EXPECT_THROW(fit(model, optimizer, train, test, options), NonFiniteLoss);
  expect_modes();
}

TEST_F(Fit, NeedsAnEpochAndABatch) {
  DataLoader none(colours(3), {.batch_size = 10, .drop_last = true});
  EXPECT_THAT([&] { fit(model, optimizer, train, test, {.epochs = 0}); }, misuse("fit: epochs must be at least 1, got 0"));
  EXPECT_THAT([&] { fit(model, optimizer, none, test); }, misuse("fit: the training set has no batch"));
  const FitResult result = fit(model, optimizer, train, none, {.epochs = 1});
  EXPECT_EQ(result.epochs[0].test.images, 0);
}

TEST_F(Fit, EndsAfterEpochsWithoutABetterAccuracy) {
  const FitResult result = fit(model, optimizer, train, test, {.epochs = 50, .patience = 2});
  EXPECT_TRUE(result.stalled);
  EXPECT_FALSE(result.stopped);
  EXPECT_LT(result.position.epoch, 50);
  EXPECT_EQ(result.position.epoch, result.position.best_epoch + 2);
  EXPECT_EQ(std::ssize(result.epochs), result.position.epoch);
}

TEST_F(Fit, CountsEpochsWithoutABetterAccuracyBeforeItsStart) {
  const RunPosition start{.epoch = 3, .best_epoch = 1, .best_accuracy = 1};
  FitResult result = fit(model, optimizer, train, test, {.epochs = 50, .patience = 4, .start = start});
  EXPECT_EQ(result.position.epoch, 5);
  EXPECT_TRUE(result.stalled);
  result = fit(model, optimizer, train, test, {.epochs = 50, .patience = 2, .start = start});
  EXPECT_TRUE(result.epochs.empty());
  EXPECT_TRUE(result.stalled);
  result = fit(model, optimizer, train, test, {.epochs = 4, .patience = 4, .start = start});
  EXPECT_EQ(result.position.epoch, 4);
  EXPECT_FALSE(result.stalled);
}

TEST_F(Fit, HasPatienceOfAnEpochAndATestSet) {
  DataLoader none(colours(3), {.batch_size = 10, .drop_last = true});
  EXPECT_THAT([&] { fit(model, optimizer, train, test, {.patience = 0}); }, misuse("fit: patience must be at least 1, got 0"));
  EXPECT_THAT([&] { fit(model, optimizer, train, none, {.patience = 1}); }, misuse("the test set has no batch"));
}

TEST_F(Fit, StepsAScheduleInEveryEpoch) {
  StepLR schedule(optimizer, {.step_size = 1, .gamma = 0.5});
  const FitResult result = fit(model, optimizer, train, test, {.epochs = 3, .scheduler = &schedule});
  EXPECT_EQ(schedule.steps(), 3);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(result.epochs[i].lr, 0.05 * std::pow(0.5, static_cast<double>(i)));
}

TEST_F(Fit, StepsAPlateauByTheTestLoss) {
  ReduceLROnPlateau schedule(optimizer, {.patience = 0, .threshold = 1e9, .threshold_mode = ThresholdMode::abs});
  fit(model, optimizer, train, test, {.epochs = 2, .scheduler = &schedule});  // the first is better than infinity
  EXPECT_NEAR(optimizer.lr(), 0.005, 1e-15);
  EXPECT_THAT([&] { fit(model, optimizer, train, test, {.scheduler = &schedule, .schedule_every = Every::step}); },
              misuse("schedule_every must be Every::epoch"));
  Adam other(model.parameters());
  EXPECT_THAT([&] { fit(model, other, train, test, {.scheduler = &schedule}); },
              misuse("scheduler must be of the optimizer given"));
}

class FitTest : public DeviceTest {
 protected:
  /// What `options` come to with a small model on a device.
  struct Run {
    FitResult result;
    std::vector<float> weights;
  };
  static Run run(Device where, const FitOptions& options, double lr = 0.05) {
    Sequential model{Flatten(), Dropout(0.2), Linear(12, 3)};
    model.init(3).to(where);
    Adam optimizer(model.parameters(), {.lr = lr});
    DataLoader train(colours(25).to(where), {.batch_size = 10, .shuffle = true, .flip = true});
    DataLoader test(colours(9).to(where), {.batch_size = 4});
    FitResult result = fit(model, optimizer, train, test, options);
    return {std::move(result), all_values(model)};
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, FitTest, devices(), device_name);

TEST_P(FitTest, HasTheSameHistoryAsOnTheCpu) {
  const Run here = run(device(), {.epochs = 5}), there = run(Device::cpu(), {.epochs = 5});
  ASSERT_EQ(here.result.epochs.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    const EpochResult &epoch = here.result.epochs[i], &expected = there.result.epochs[i];
    EXPECT_EQ(epoch.train.images, 25);
    EXPECT_EQ(epoch.test.images, 9);
    EXPECT_EQ(epoch.train.correct, expected.train.correct);
    EXPECT_EQ(epoch.test.correct, expected.test.correct);
    EXPECT_NEAR(epoch.train.loss(), expected.train.loss(), 1e-4 * expected.train.loss());
    EXPECT_NEAR(epoch.test.loss(), expected.test.loss(), 1e-4 * expected.test.loss());
  }
  expect_close(here.weights, as_doubles(there.weights), {1e-4, 1e-4});
}

TEST_P(FitTest, FollowsAOneCycleInEveryStepAsStepsByHandDo) {
  const auto trained = [&](bool by_hand) {
    Sequential model{Flatten(), Linear(12, 3)};
    model.init(3).to(device());
    Adam optimizer(model.parameters());
    OneCycleLR schedule(optimizer, {.max_lr = 0.1, .epochs = 4, .steps_per_epoch = 3});
    DataLoader train(colours(25).to(device()), {.batch_size = 10, .shuffle = true});
    DataLoader test(colours(9).to(device()), {.batch_size = 4});
    TrainStep step(model, optimizer);
    if (!by_hand) fit(model, optimizer, train, test, {.epochs = 4, .scheduler = &schedule, .schedule_every = Every::step});
    for (int epoch = 0; by_hand && epoch < 4; ++epoch) {
      for (const Batch& batch : train) {
        step(batch);
        schedule.step();
      }
    }
    EXPECT_EQ(schedule.steps(), 12);
    return all_values(model);
  };
  expect_close(trained(false), as_doubles(trained(true)), {1e-6, 1e-6});
}

TEST_P(FitTest, TellsOfStepsAsTheirResultsArrive) {
  std::vector<std::int64_t> images;
  int epochs = 0;
  run(device(), {.epochs = 3,
                 .on_step = [&](const Progress& progress) { images.push_back(progress.train.images); },
                 .on_epoch =
                     [&](const EpochResult&) {
                       EXPECT_TRUE(std::ranges::is_sorted(images));
                       EXPECT_EQ(images.back(), 25);
                       images.clear();
                       ++epochs;
                     }});
  EXPECT_EQ(epochs, 3);
}

TEST_P(FitTest, EndsWithALossThatIsNotFinite) { EXPECT_THROW(run(device(), {.epochs = 3}, 1e38), NonFiniteLoss); }

TEST_P(FitTest, StopsWhenAsked) {
  int asked = 0;
  EXPECT_TRUE(run(device(), {.epochs = 3, .stop = [&] { return ++asked == 8; }}).result.stopped);
  EXPECT_EQ(asked, 8);
}

TEST(FitOfSimpleCNN, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto weights_with = [](int threads) {
    const ForcedThreads forced(threads);
    SimpleCNN model;
    model.init(4);
    Adam optimizer(model.parameters());
    const std::vector<std::uint8_t> labels(40, 3);
    const TensorDataset dataset{random_tensor({40, 3, 32, 32}, 1), Tensor::from(labels, {40})};
    DataLoader train(dataset, {.batch_size = 32, .shuffle = true, .seed = 2, .crop_padding = 4, .flip = true}),
        test(dataset, {.batch_size = 40});
    const FitResult result = fit(model, optimizer, train, test, {.epochs = 2});
    std::vector<float> all = all_values(model);
    all.push_back(static_cast<float>(result.epochs.back().test.loss_sum));
    return all;
  };
  const std::vector<float> one = weights_with(1);
  EXPECT_EQ(weights_with(1), one);
  EXPECT_EQ(weights_with(2), one);
  EXPECT_EQ(weights_with(5), one);
}

}  // namespace
}  // namespace gpucnn
