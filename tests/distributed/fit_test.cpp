#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/shapes.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/schedules/one_cycle_lr.h>
#include <gpucnn/train/checkpoint.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/train_step.h>

#include "distributed/training.h"

namespace gpucnn {
namespace {

const DatasetSplits& splits() {
  static const DatasetSplits made = make_shapes(50, 31, 5);
  return made;
}

/// All that a run has, for the ranks together or for this one alone.
struct TrainingRun {
  explicit TrainingRun(const Distributed* with) : distributed(with) {
    model.init(7);
    optimizer.emplace(model.parameters(), AdamOptions{.lr = 1e-3});
    schedule.emplace(*optimizer, OneCycleLROptions{.max_lr = 2e-3, .total_steps = 30});
    const BatchPart part = with ? own_part(*with) : BatchPart{};
    train.emplace(splits().train, DataLoaderOptions{.batch_size = 8, .shuffle = true, .seed = 3, .flip = true, .part = part});
    test.emplace(splits().test, DataLoaderOptions{.batch_size = 10, .part = part});
    ema.emplace(model, ExponentialMovingAverageOptions{.decay = 0.9});
  }

  FitOptions options() {
    return {
        .epochs = 3, .scheduler = &*schedule, .schedule_every = Every::step, .step = {.ema = &*ema, .distributed = distributed}};
  }
  RunParts parts() { return {model, *optimizer, &*train, &*test, &*schedule, &*ema}; }
  FitResult go(const FitOptions& with) { return fit(model, *optimizer, *train, *test, with); }

  const Distributed* distributed;
  Sequential model{Conv2d(3, 4, {.kernel_size = 3, .stride = 4}), ReLU(), Flatten(), Dropout(0.3), Linear(256, 10)};
  std::optional<Adam> optimizer;
  std::optional<OneCycleLR> schedule;
  std::optional<DataLoader> train, test;
  std::optional<ExponentialMovingAverage> ema;
};

void expect_close_epochs(const FitResult& joined, const FitResult& alone) {
  ASSERT_EQ(joined.epochs.size(), alone.epochs.size());
  for (std::size_t i = 0; i < alone.epochs.size(); ++i) {
    EXPECT_NEAR(joined.epochs[i].train.loss(), alone.epochs[i].train.loss(), 1e-5);
    EXPECT_NEAR(joined.epochs[i].test.loss(), alone.epochs[i].test.loss(), 1e-5);
    EXPECT_EQ(joined.epochs[i].test.correct, alone.epochs[i].test.correct);
    EXPECT_EQ(joined.epochs[i].train.images, alone.epochs[i].train.images);
    EXPECT_EQ(joined.epochs[i].test.images, alone.epochs[i].test.images);
    EXPECT_EQ(joined.epochs[i].lr, alone.epochs[i].lr);
  }
}

/// A file that all ranks know.
std::filesystem::path shared_path(const std::string& name) {
  const std::string folder = world().broadcast(testing::TempDir() + "gpucnn-" + std::to_string(getpid()) + "-");
  return folder + name;
}

TEST(JoinedFit, ComesToWhatOneProcessComesTo) {
  TrainingRun joined(&world()), alone(nullptr);
  const FitResult result = joined.go(joined.options());
  expect_close_epochs(result, alone.go(alone.options()));
  expect_same_on_all_ranks(bits_of(joined.model));
}

TEST(JoinedFit, StopsOnAllRanksWhereOneStops) {
  TrainingRun run(&world());
  FitOptions options = run.options();
  int steps = 0;
  options.on_step = [&](const Progress&) { ++steps; };
  if (world().rank() == world().size() - 1) options.stop = [&] { return steps == 3; };
  const FitResult result = run.go(options);
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(steps, 3);
  EXPECT_EQ(result.position.batches, 3);
  expect_same_on_all_ranks(bits_of(run.model));
}

TEST(JoinedFit, StopsAmidAnEvaluationToo) {
  TrainingRun run(&world());
  FitOptions options = run.options();
  int asked = 0;
  if (world().is_main()) options.stop = [&] { return ++asked == 9; };  // seven batches of training, and then the second of the test
  const FitResult result = run.go(options);
  EXPECT_TRUE(result.stopped);
  EXPECT_TRUE(result.epochs.empty());
  EXPECT_EQ(run.test->epoch(), 0U);
}

/// `begins` saves amid the second epoch and stops; `resumes` loads that, on rank 0 alone if it is one of ranks.
FitResult begun_and_resumed(const std::string& name, const Distributed* begins, const Distributed* resumes, std::string* bits) {
  const std::filesystem::path path = shared_path(name);
  const bool writes = world().is_main();
  {
    TrainingRun run(begins);
    FitOptions options = run.options();
    int steps = 0;
    options.on_step = [&](const Progress&) { ++steps; };
    options.stop = [&] { return steps == 9; };
    const FitResult result = run.go(options);
    if (writes) save_checkpoint(path, run.parts(), result.position);
  }
  world().barrier();
  TrainingRun run(resumes);
  FitOptions options = run.options();
  if (writes || !resumes) options.start = load_checkpoint(path, run.parts()).position;
  world().barrier();
  if (writes) std::filesystem::remove(path);
  const FitResult result = run.go(options);
  *bits = bits_of(run.model);
  return result;
}

TEST(JoinedFit, ResumedWithAnotherNumberOfRanksGoesOnWithTheSameRun) {
  TrainingRun whole(nullptr), whole_joined(&world());
  FitResult alone = whole.go(whole.options());
  const FitResult joined = whole_joined.go(whole_joined.options());
  alone.epochs.erase(alone.epochs.begin());
  std::string bits;
  expect_close_epochs(begun_and_resumed("one", nullptr, &world(), &bits), alone);
  expect_same_on_all_ranks(bits);
  expect_close_epochs(begun_and_resumed("many", &world(), nullptr, &bits), alone);
  expect_close_epochs(begun_and_resumed("same", &world(), &world(), &bits), alone);
  EXPECT_EQ(bits, bits_of(whole_joined.model));  // with as many ranks, bit for bit
}

/// Without SyncBatchNorm each rank has statistics of its own images. All are judged by rank 0's, which are saved, too.
TEST(JoinedFit, JudgesByTheBuffersOfRank0) {
  Sequential model{Conv2d(3, 4, {.kernel_size = 3, .stride = 4}), BatchNorm2d(4), ReLU(), Flatten(), Linear(256, 10)};
  model.init(7);
  Adam optimizer(model.parameters());
  DataLoader train(splits().train, {.batch_size = 16, .shuffle = true, .part = own_part(world())});
  DataLoader test(splits().test, {.batch_size = 10, .part = own_part(world())});
  const FitResult result = fit(model, optimizer, train, test, {.epochs = 2, .step = {.distributed = &world()}});
  expect_same_on_all_ranks(bits_of(model));
  Metrics own;
  CrossEntropyLoss loss;
  for (const Batch& batch : DataLoader(splits().test, {.batch_size = 10})) own += evaluate(model, loss, batch);
  EXPECT_EQ(result.epochs.back().test.correct, own.correct);
  EXPECT_NEAR(result.epochs.back().test.loss(), own.loss(), 1e-6 * own.loss());
}

}  // namespace
}  // namespace gpucnn
