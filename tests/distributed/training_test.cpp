#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/shapes.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/distributed/sync_batch_norm.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/models/resnet9.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "distributed/training.h"
#include "misuse.h"

namespace gpucnn {
namespace {

constexpr int kSteps = 25;

// In networks with max pooling the last bit of one weight decides which of two equal pixels is the largest. At a rate of 0.05 the
// losses of SimpleCNN parted by up to 3e-3 in 3 of 30 runs: ten seeds, 2 to 4 ranks. At 3e-3 the largest difference was 8e-8.
// BatchNorm makes such choices count for more. At 5e-6 those of resnet9 were within 1.1e-7 in the same 30 runs; gradients that are
// wrong by a hundredth change them by 1.5e-6.
constexpr double kSimpleCnnRate = 3e-3, kResNet9Rate = 5e-6, kBatchNormRate = 5e-5, kRate = 0.05;

// Weights and running statistics behind 25 steps, whose sums were added in another order.
constexpr Tolerance kWeights{1e-4, 1e-5};

struct Seen {
  std::vector<double> losses;
  std::vector<std::int64_t> correct;
  std::string weights;
};

/// Trains a model for kSteps steps of `loader_options`, alone or as one of the ranks.
Seen train(Module& model, const TensorDataset& dataset, DataLoaderOptions loader_options, StepOptions options, double lr,
           Loss& loss, const Distributed* distributed) {
  if (distributed) loader_options.part = own_part(*distributed);
  options.distributed = distributed;
  SGD optimizer(model.parameters(), {.lr = lr, .momentum = 0.9, .weight_decay = 5e-4});
  DataLoader loader(dataset, loader_options);
  Trainer trainer(model, optimizer, loss, loader, options);
  Seen seen;
  while (std::ssize(seen.losses) < kSteps) {
    trainer.start_epoch();
    while (std::ssize(seen.losses) < kSteps && trainer.step()) {
      const Metrics metrics = trainer.take();
      seen.losses.push_back(metrics.loss());
      seen.correct.push_back(metrics.correct);
    }
  }
  seen.weights = bits_of(model);
  return seen;
}

void expect_same_losses(const Seen& joined, const Seen& alone) {
  ASSERT_EQ(joined.losses.size(), alone.losses.size());
  for (std::size_t i = 0; i < alone.losses.size(); ++i) {
    EXPECT_NEAR(joined.losses[i], alone.losses[i], 1e-6 * alone.losses[i]) << "step " << i;
  }
  EXPECT_EQ(joined.correct, alone.correct);
}

/// With crops and flips; batches of 24, of which the last of an epoch has 4.
const DataLoaderOptions kOptions{.batch_size = 24,
                                 .shuffle = true,
                                 .seed = 3,
                                 .normalize = Normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.25}},
                                 .crop_padding = 4,
                                 .flip = true};

const TensorDataset& images() {
  static const DatasetSplits splits = make_shapes(100, 40, 5);
  return splits.train;
}

/// Models whose batch normalisation is that of all ranks.
template <class Model>
void expect_the_losses_of_one_process(const std::function<Model()>& make, double lr, const StepOptions& options = {},
                                      Loss* given = nullptr) {
  CrossEntropyLoss cross_entropy;
  Loss& loss = given ? *given : cross_entropy;
  Model first = make(), second = make(), single = make();
  for (Model* model : {&first, &second, &single}) model->init(1);
  convert_sync_batchnorm(first, world());
  convert_sync_batchnorm(second, world());
  const Seen joined = train(first, images(), kOptions, options, lr, loss, &world());
  const Seen again = train(second, images(), kOptions, options, lr, loss, &world());
  EXPECT_EQ(joined.losses, again.losses);
  EXPECT_EQ(joined.weights, again.weights);
  expect_same_on_all_ranks(joined.weights);
  expect_same_losses(joined, train(single, images(), kOptions, options, lr, loss, nullptr));
  expect_close(floats_of(first), floats_of(single), kWeights);
}

TEST(JoinedTraining, OfSimpleCnnHasTheLossesOfOneProcess) {
  expect_the_losses_of_one_process<SimpleCNN>([] { return SimpleCNN(); }, kSimpleCnnRate);
}

TEST(JoinedTraining, OfResNet9HasTheLossesOfOneProcess) {
  expect_the_losses_of_one_process<Sequential>([] { return resnet9({.width = 8}); }, kResNet9Rate);
}

Sequential small() { return Sequential{Flatten(), Linear(3 * 32 * 32, 16), ReLU(), Dropout(0.5), Linear(16, 10)}; }

TEST(JoinedTraining, WithClippingHasTheLossesOfOneProcess) {
  expect_the_losses_of_one_process<Sequential>(small, kRate, {.clip_grad_value = 0.1, .clip_grad_norm = 0.5});
}

/// The ranks' parts have other sums of weights, and labels that count for nothing.
TEST(JoinedTraining, OfAWeightedMeanHasTheLossesOfOneProcess) {
  const Tensor weight = Tensor::from(std::vector<float>{1, 2, 0.5F, 3, 1, 0.1F, 7, 1, 1, 4}, {10});
  CrossEntropyLoss weighted({.weight = weight, .ignore_index = 3, .label_smoothing = 0.1}), ignoring({.ignore_index = 3}),
      sum({.ignore_index = 4, .reduction = Reduction::sum});
  for (Loss* loss : {&weighted, &ignoring}) expect_the_losses_of_one_process<Sequential>(small, 1e-3, {}, loss);
  expect_the_losses_of_one_process<Sequential>(small, 1e-4, {}, &sum);
}

TEST(JoinedTraining, OfMixedImagesHasTheLossesOfOneProcess) {
  DataLoaderOptions options = kOptions;
  options.mix = {.mixup_alpha = 0.4, .cutmix_alpha = 1, .num_classes = 10};
  CrossEntropyLoss loss;
  Sequential model = small(), single = small();
  const Seen joined = train(model, images(), options, {}, kRate, loss, &world());
  expect_same_losses(joined, train(single, images(), options, {}, kRate, loss, nullptr));
}

TEST(JoinedTraining, ABatchMayHaveFewerImagesThanThereAreRanks) {
  DataLoaderOptions options = kOptions;
  options.batch_size = 1;
  CrossEntropyLoss loss;
  Sequential model = small(), single = small();
  const Seen joined = train(model, images(), options, {}, 1e-3, loss, &world());
  expect_same_losses(joined, train(single, images(), options, {}, 1e-3, loss, nullptr));
  expect_same_on_all_ranks(joined.weights);
}

/// Layers that ranks without images must run through, in the same order of sums.
TEST(JoinedTraining, ASmallBatchOfANetworkWithBatchNormIsThatOfOneProcess) {
  DataLoaderOptions options = kOptions;
  options.batch_size = 2;
  const auto make = [] {
    return Sequential{Conv2d(3, 8, {.kernel_size = 3, .stride = 2, .bias = false}), BatchNorm2d(8), ReLU(), Flatten(),
                      Linear(8 * 225, 10)};
  };
  CrossEntropyLoss loss;
  Sequential model = make(), single = make();
  convert_sync_batchnorm(model, world());
  const Seen joined = train(model, images(), options, {}, kBatchNormRate, loss, &world());
  expect_same_losses(joined, train(single, images(), options, {}, kBatchNormRate, loss, nullptr));
  expect_same_on_all_ranks(joined.weights);
}

TEST(JoinedTraining, ALossThatIsNotFiniteOnOneRankStopsAllAtTheSameStep) {
  std::vector<float> pixels(40 * 12, 0.5F);
  pixels[39 * 12] = std::numeric_limits<float>::quiet_NaN();  // in the last batch, and in the last rank's part of it
  const TensorDataset dataset(Tensor::from(pixels, {40, 3, 2, 2}), Tensor::zeros({40}, DType::i32));
  Sequential model{Flatten(), Linear(12, 3)};
  SGD optimizer(model.parameters(), {.lr = 0.1, .momentum = 0.9});
  DataLoader loader(dataset, {.batch_size = 8, .part = own_part(world())});
  Trainer trainer(model, optimizer, loader, {.distributed = &world()});
  trainer.start_epoch();
  for (int step = 0; step < 4; ++step) ASSERT_TRUE(trainer.step());
  const std::string before = bits_of(model);
  try {
    trainer.step();
    ADD_FAILURE() << "goes on";
  } catch (const NonFiniteLoss& failure) {
    EXPECT_EQ(failure.step(), 5);
    EXPECT_STREQ(failure.what(), "the loss became nan at step 5; try a smaller learning rate");
  }
  EXPECT_EQ(bits_of(model), before);
  expect_same_on_all_ranks(before);
}

TEST(JoinedTraining, BeginsWithWhatRank0Has) {
  Sequential model = small();
  model.init(static_cast<std::uint64_t>(world().rank()));
  Adam optimizer(model.parameters(), {.lr = 0.01 * (1 + world().rank())});
  const TrainStep step(model, optimizer, {.distributed = &world()});
  Sequential of_rank0 = small();
  of_rank0.init(0);
  EXPECT_EQ(bits_of(model), bits_of(of_rank0));
  EXPECT_EQ(model.random_seed(), 0U);
  EXPECT_EQ(optimizer.lr(), 0.01);
}

/// The ranks tell each other how many images they have.
TEST(JoinedTraining, AStepTakesPartsOfAnySize) {
  const int rank = world().rank(), size = world().size();
  const std::int64_t N = size * (size + 1) / 2, before = rank * (rank + 1) / 2;  // rank r has r + 1 of them
  const Tensor x = Tensor::randn({N, 3, 4, 4}, 1);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(N));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 3);
  const Tensor y = Tensor::from(labels, {N});
  const auto make = [] { return Sequential{Flatten(), Dropout(0.3), Linear(48, 3)}; };
  Sequential model = make(), single = make();
  SGD optimizer(model.parameters(), {.lr = 0.1}), alone(single.parameters(), {.lr = 0.1});
  TrainStep joined_step(model, optimizer, {.distributed = &world()}), step(single, alone);
  for (int i = 0; i < 3; ++i) {
    const Metrics joined = joined_step({x.narrow(before, rank + 1), y.narrow(before, rank + 1)}), one = step({x, y});
    EXPECT_EQ(joined.images, N);
    EXPECT_EQ(joined.correct, one.correct);
    EXPECT_NEAR(joined.loss(), one.loss(), 1e-6 * one.loss());
  }
}

TEST(JoinedTraining, RefusesALoaderOfOtherParts) {
  if (world().size() == 1) GTEST_SKIP() << "one rank has all";
  Sequential model = small();
  SGD optimizer(model.parameters(), {.lr = 0.1});
  DataLoader loader(images(), {.batch_size = 4});
  EXPECT_THAT([&] { Trainer(model, optimizer, loader, {.distributed = &world()}); },
              misuse("DataLoader: has part 0 of 1 of every batch, but this is rank"));
}

TEST(SyncBatchNorm, IsThatOfTheWholeBatchAndCanBeCloned) {
  const std::int64_t N = 2 * world().size() + 1;
  const BatchPart part = own_part(world());
  const Tensor x = Tensor::randn({N, 3, 4, 4}, 1);
  Sequential alone{BatchNorm2d(3)}, joined{SyncBatchNorm(3, world())};
  auto twin = joined.clone<Sequential>();
  const std::vector<float> y = alone(x).to_vector<float>();
  const std::vector<float> expected(y.begin() + part.first(N) * 48, y.begin() + (part.first(N) + part.images(N)) * 48);
  for (Sequential* model : {&joined, &twin}) {
    expect_close((*model)(x.narrow(part.first(N), part.images(N))).to_vector<float>(), as_doubles(expected), kSum);
    expect_close(floats_of(*model), floats_of(alone), kSum);
  }
}

}  // namespace
}  // namespace gpucnn
