// Ranks that have a GPU each train to what one of them reaches alone with whole batches.
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/distributed/sync_batch_norm.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "cuda_on_cpu/standins/standin.h"
#include "distributed/gpu_world.h"
#include "distributed/training.h"

namespace gpucnn {
namespace {

constexpr double kTolerance = 1e-6;  // of losses, relative

/// What a training came to.
struct Training {
  std::vector<double> losses;
  std::vector<std::int64_t> correct, images, ignored;
  std::string weights;
  std::vector<double> statistics;  // running means and variances
  std::int64_t replays = 0;
};

struct Task {
  std::int64_t images = 40, batch = 8;
  int epochs = 2;
  std::int32_t ignored_labels = 0;  // the first so many
  Tensor class_weights = {};
  double clip = 0;
  bool crops = true;
  bool sync = false;  // whether batches are normalised by the images of all ranks
};

TensorDataset dataset(const Task& task, Device device) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(task.images) * 3 * 32 * 32);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 24);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(task.images));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::int32_t>(i) < task.ignored_labels ? -100 : static_cast<std::int32_t>(i * 7 % 10);
  }
  return {Tensor::from(pixels, {task.images, 3, 32, 32}, device), Tensor::from(labels, {task.images}, device)};
}

std::int64_t graph_launches() { return gpucnn_standin_counts ? gpucnn_standin_counts().graph_launches : 0; }

/// Trains on the rank's part of every batch; without `distributed` on all of it.
Training train(Module& model, const Task& task, Device device, const Distributed* distributed) {
  const TensorDataset data = dataset(task, device);
  DataLoaderOptions options{.batch_size = task.batch, .shuffle = true, .device = device};
  if (task.crops) {
    options.crop_padding = 4;
    options.flip = true;
  }
  if (distributed) options.part = {distributed->rank(), distributed->size()};
  DataLoader loader(data, options);
  model.init(3);
  model.to(device);
  if (distributed && task.sync) {
    EXPECT_GT(convert_sync_batchnorm(model, *distributed), 0);
  }
  Adam optimizer(model.parameters(), {.lr = 1e-3});
  CrossEntropyLoss loss({.weight = task.class_weights});
  StepOptions step{.distributed = distributed};
  if (task.clip > 0) step.clip_grad_norm = task.clip;
  Trainer trainer(model, optimizer, loss, loader, step);
  Training run;
  const std::int64_t before = graph_launches();
  for (int epoch = 0; epoch < task.epochs; ++epoch) {
    trainer.start_epoch();
    while (trainer.step(1) > 0) {
      const Metrics seen = trainer.finish();
      run.losses.push_back(seen.loss_sum);
      run.correct.push_back(seen.correct);
      run.images.push_back(seen.images);
      run.ignored.push_back(seen.ignored);
    }
  }
  run.replays = graph_launches() - before;
  run.weights = bits_of(model);
  for (const auto& [name, tensor] : model.state_dict()) {
    if (name.find("running_") == std::string::npos) continue;
    for (const float value : tensor.to_vector<float>()) run.statistics.push_back(static_cast<double>(value));
  }
  return run;
}

/// Its gradients go in two pieces: those of the convolution come last.
Sequential small_network() {
  return Sequential{Conv2d(3, 8, {.kernel_size = 3, .stride = 4, .padding = 1}),
                    ReLU(),
                    Flatten(),
                    Linear(8 * 8 * 8, 520),
                    ReLU(),
                    Dropout(0.3),
                    Linear(520, 10)};
}

/// One norm is a stage of its own, two are joined with their neighbours.
Sequential normalised_network() {
  return Sequential{Conv2d(3, 8, {.kernel_size = 3, .stride = 4, .padding = 1, .bias = false}),
                    BatchNorm2d(8),
                    ReLU(),
                    ResidualBlock({{"conv1", Conv2d(8, 8, {.kernel_size = 3, .padding = 1, .bias = false})},
                                   {"bn1", BatchNorm2d(8)},
                                   {"relu", ReLU()},
                                   {"conv2", Conv2d(8, 8, {.kernel_size = 3, .padding = 1, .bias = false})},
                                   {"bn2", BatchNorm2d(8)}}),
                    AvgPool2d(8),
                    Flatten(),
                    Linear(8, 10)};
}

void expect_close(const Training& run, const Training& alone, double tolerance = kTolerance) {
  ASSERT_EQ(run.losses.size(), alone.losses.size());
  for (std::size_t i = 0; i < run.losses.size(); ++i) {
    EXPECT_NEAR(run.losses[i], alone.losses[i], tolerance * std::abs(alone.losses[i])) << "step " << i;
  }
  EXPECT_EQ(run.correct, alone.correct);
  EXPECT_EQ(run.images, alone.images);
  EXPECT_EQ(run.ignored, alone.ignored);
  ASSERT_EQ(run.statistics.size(), alone.statistics.size());
  for (std::size_t i = 0; i < run.statistics.size(); ++i) {
    EXPECT_NEAR(run.statistics[i], alone.statistics[i], 1e-5 * (1 + std::abs(alone.statistics[i]))) << "statistic " << i;
  }
}

/// All ranks have the same bits.
void expect_same(const Training& run) {
  expect_same_on_all_ranks(run.weights);
  std::string losses;
  for (const double loss : run.losses) losses += std::to_string(loss) + ' ';
  expect_same_on_all_ranks(losses);
}

/// The stand-in tells how many steps were replayed.
void expect_replays(const Training& run) {
  if (!gpucnn_standin_counts) return;
  EXPECT_GT(run.replays, 0) << "no step was captured";
}

using GpuTraining = GpuRanks;

void expect_as_alone(const std::function<Sequential()>& network, const Task& task, Device device) {
  Sequential together = network(), alone = network();
  const Training run = train(together, task, device, &world());
  expect_close(run, train(alone, task, device, nullptr));
  expect_same(run);
  expect_replays(run);
}

TEST_F(GpuTraining, OfSimpleCnnReachesTheLossesOfOneProcess) {
  expect_as_alone([] { return SimpleCNN(); }, {.images = 10 * world().size(), .batch = 2 * world().size(), .epochs = 5}, device);
}

TEST_F(GpuTraining, OfBatchesThatDoNotDivide) {
  expect_as_alone(small_network, {.images = 20, .batch = 2 * world().size() + 1, .epochs = 3}, device);
}

TEST_F(GpuTraining, OfBatchesThatAreTooSmallForAllRanks) {
  expect_as_alone(small_network, {.images = 4, .batch = world().size() - 1, .epochs = 2}, device);
}

TEST_F(GpuTraining, LeavesOutIgnoredLabels) {
  expect_as_alone(small_network, {.images = 10 * world().size(), .batch = 2 * world().size(), .epochs = 3, .ignored_labels = 10},
                  device);
}

TEST_F(GpuTraining, ClipsTheGradientsOfAll) {
  expect_as_alone(small_network, {.images = 10 * world().size(), .batch = 2 * world().size(), .epochs = 3, .clip = 0.05}, device);
}

TEST_F(GpuTraining, WithWeightsOfClassesGoesOneByOne) {
  std::vector<float> weights(10);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.1F + 0.3F * static_cast<float>(i);
  Sequential together = small_network(), alone = small_network();
  const Task task{.images = 10 * world().size(),
                  .batch = 2 * world().size(),
                  .epochs = 2,
                  .class_weights = Tensor::from(weights, {10}, device)};
  const Training run = train(together, task, device, &world());
  expect_close(run, train(alone, task, device, nullptr));
  expect_same(run);
}

TEST_F(GpuTraining, NormalisesByTheImagesOfAll) {
  const auto size = world().size();
  expect_as_alone(normalised_network, {.images = 10 * size, .batch = 2 * size, .epochs = 3, .sync = true}, device);
  expect_as_alone(normalised_network, {.images = 20, .batch = 2 * size + 1, .epochs = 3, .sync = true}, device);
}

/// A rank without images takes one of another's, which must not be in the statistics.
TEST_F(GpuTraining, NormalisesBatchesThatAreTooSmallForAllRanks) {
  expect_as_alone(normalised_network, {.images = 4, .batch = world().size() - 1, .epochs = 4, .sync = true}, device);
}

/// The parts' shares of the mean differ, and an image that is ignored is normalised all the same.
TEST_F(GpuTraining, NormalisesImagesWhoseLabelsAreIgnored) {
  const auto size = world().size();
  expect_as_alone(normalised_network, {.images = 10 * size, .batch = 4 * size, .epochs = 3, .ignored_labels = 11, .sync = true},
                  device);
}

TEST_F(GpuTraining, NormalisesByTheImagesOfAllWhereStepsGoOneByOne) {
  std::vector<float> weights(10);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.1F + 0.3F * static_cast<float>(i);
  const Task task{.images = 20,
                  .batch = 2 * world().size() + 1,
                  .epochs = 2,
                  .class_weights = Tensor::from(weights, {10}, device),
                  .sync = true};
  Sequential together = normalised_network(), alone = normalised_network();
  const Training run = train(together, task, device, &world());
  expect_close(run, train(alone, task, device, nullptr));
  expect_same(run);
}

TEST_F(GpuTraining, GivesTheSameBitsAgain) {
  const Task task{.images = 10 * world().size(), .batch = 2 * world().size(), .epochs = 2};
  Sequential first = small_network(), second = small_network();
  const Training run = train(first, task, device, &world()), again = train(second, task, device, &world());
  EXPECT_EQ(run.losses, again.losses);
  EXPECT_EQ(run.weights, again.weights);
}

/// Steps are queued eight at a time, and nobody looks before the end.
TEST_F(GpuTraining, OfManyStepsAtOnceGivesTheSameBits) {
  const Task task{.images = 24 * 2 * world().size(), .batch = 2 * world().size(), .epochs = 1};
  Sequential together = small_network(), at_once = small_network();
  const Training run = train(together, task, device, &world());
  const TensorDataset data = dataset(task, device);
  DataLoader loader(data, {.batch_size = task.batch,
                           .shuffle = true,
                           .crop_padding = 4,
                           .flip = true,
                           .device = device,
                           .part = {world().rank(), world().size()}});
  at_once.init(3);
  at_once.to(device);
  Adam optimizer(at_once.parameters(), {.lr = 1e-3});
  CrossEntropyLoss loss;
  Trainer trainer(at_once, optimizer, loss, loader, {.distributed = &world()});
  trainer.start_epoch();
  while (trainer.step(Trainer::kStepsAtOnce) > 0) continue;
  const Metrics seen = trainer.finish();
  double sum = 0;
  for (const double one : run.losses) sum += one;
  EXPECT_NEAR(seen.loss_sum, sum, 1e-9 * sum);
  EXPECT_EQ(seen.images, task.images);
  EXPECT_EQ(bits_of(at_once), run.weights);
}

/// One image of the data makes the loss infinite; only one rank has it.
TEST_F(GpuTraining, StopsOnAllRanksAtALossThatIsNotFinite) {
  constexpr std::int64_t kImages = 64, kBad = 37;
  const std::int64_t batch = 2 * world().size(), failing = kBad / batch + 1;
  std::vector<float> pixels(kImages * 3 * 32 * 32, 0.5F);
  pixels[kBad * 3 * 32 * 32] = std::numeric_limits<float>::infinity();
  const TensorDataset data(Tensor::from(pixels, {kImages, 3, 32, 32}, device),
                           Tensor::from(std::vector<std::int32_t>(kImages, 1), {kImages}, device));
  DataLoader loader(data, {.batch_size = batch, .device = device, .part = {world().rank(), world().size()}});
  Sequential model = small_network();
  model.init(1);
  model.to(device);
  SGD optimizer(model.parameters(), {.lr = 1e-3});
  CrossEntropyLoss loss;
  Trainer trainer(model, optimizer, loss, loader, {.distributed = &world()});
  trainer.start_epoch();
  std::optional<std::int64_t> step;
  try {
    while (trainer.step() > 0) continue;
    trainer.finish();
  } catch (const NonFiniteLoss& failure) {
    step = failure.step();
  }
  EXPECT_EQ(step, failing);
  EXPECT_EQ(optimizer.steps(), failing - 1);
  for (const auto& [name, tensor] : model.state_dict()) {
    EXPECT_THAT(tensor.to_vector<float>(), testing::Each(testing::Truly([](float value) { return std::isfinite(value); }))) << name;
  }
}

}  // namespace
}  // namespace gpucnn
