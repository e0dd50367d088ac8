#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/functional.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"
#include "misuse.h"
#include "train/loss/three_classes.h"

// Labels that a loss ignores, and those that no class has, are counted alike by all that trains or judges.
namespace gpucnn {
namespace {

class IgnoredLabels : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, IgnoredLabels, devices(), device_name);

TEST_P(IgnoredLabels, TrainerAndStepAgreeOnIgnoredLabelsAndSums) {
  const Tensor weight = Tensor::from(std::vector<float>{0.5F, 2, 1}, {3});
  for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
    const CrossEntropyLossOptions options{weight, 1, reduction, 0.1};
    Sequential one{Flatten(), Linear(4, 3)}, two{Flatten(), Linear(4, 3)};
    one.init(2).to(device());
    two.init(2).to(device());
    SGD first(one.parameters(), {.lr = 0.1}), second(two.parameters(), {.lr = 0.1});
    CrossEntropyLoss for_step(options), for_trainer(options);
    DataLoader batches = loader_on(device()), loader = loader_on(device());
    TrainStep step(one, first, for_step);
    Trainer trainer(two, second, for_trainer, loader);
    for (int epoch = 0; epoch < 3; ++epoch) {
      Metrics expected;
      for (const Batch& batch : batches) expected += step(batch);
      trainer.start_epoch();
      while (trainer.step()) {
      }
      const Metrics seen = trainer.finish();
      EXPECT_EQ(seen.ignored, 7);
      EXPECT_EQ(expected.ignored, 7);
      EXPECT_EQ(seen.images, 20);
      EXPECT_EQ(seen.correct, expected.correct);
      EXPECT_EQ(seen.loss_sum, expected.loss_sum);
    }
    EXPECT_EQ(all_values(two), all_values(one));
  }
}

TEST_P(IgnoredLabels, ALabelToIgnoreLiesInADataset) {
  // Every third of 20, by the default of -100, in one dataset for all who learn from it.
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 20; ++i) labels.push_back(i % 3 == 0 ? -100 : i % 3);
  const TensorDataset dataset(random_tensor({20, 1, 2, 2}, 1), tensor(labels, {20}));
  const auto learned = [&](const auto& train) {
    Sequential model{Flatten(), Linear(4, 3)};
    model.init(2).to(device());
    SGD optimizer(model.parameters(), {.lr = 0.1});
    DataLoader loader(dataset, {.batch_size = 5, .shuffle = true});
    const Metrics seen = train(model, optimizer, loader);
    EXPECT_EQ(seen.images, 60);
    EXPECT_EQ(seen.ignored, 21);
    std::vector<float> all = all_values(model);
    all.push_back(static_cast<float>(seen.loss_sum));
    all.push_back(static_cast<float>(seen.correct));
    return all;
  };
  const std::vector<float> by_step = learned([&](Module& model, Optimizer& optimizer, DataLoader& loader) {
    Metrics seen;
    TrainStep step(model, optimizer);
    for (int epoch = 0; epoch < 3; ++epoch) {
      for (const Batch& batch : loader) seen += step(batch);
    }
    return seen;
  });
  EXPECT_EQ(learned([&](Module& model, Optimizer& optimizer, DataLoader& loader) {
              Metrics seen;
              Trainer trainer(model, optimizer, loader);
              for (int epoch = 0; epoch < 3; ++epoch) {
                trainer.start_epoch();
                while (trainer.step()) {
                }
                seen += trainer.finish();
              }
              return seen;
            }),
            by_step);
  EXPECT_EQ(learned([&](Module& model, Optimizer& optimizer, DataLoader& loader) {
              Metrics seen;
              DataLoader test(dataset, {.batch_size = 5});
              for (const EpochResult& epoch : fit(model, optimizer, loader, test, {.epochs = 3}).epochs) {
                EXPECT_EQ(epoch.test.ignored, 7);
                seen += epoch.train;
              }
              return seen;
            }),
            by_step);
}

TEST_P(IgnoredLabels, EvaluateCountsIgnoredLabelsAsNeitherRightNorWrong) {
  Sequential model{Flatten(), Linear(4, 3)};
  model.init(2).to(device());
  const Tensor inputs = random_tensor({5, 1, 2, 2}, 1);
  const std::vector<std::int64_t> best = argmax(model.predict(inputs)).to_vector<std::int64_t>();
  const auto wrong = (best[1] + 1) % 3;
  const Tensor labels = tensor<std::int64_t>({best[0], wrong, -100, best[3], -100}, {5});
  const Metrics metrics = evaluate(model, {inputs, labels});
  EXPECT_EQ(metrics.images, 5);
  EXPECT_EQ(metrics.ignored, 2);
  EXPECT_EQ(metrics.correct, 2);
  EXPECT_DOUBLE_EQ(metrics.accuracy(), 2.0 / 3);
  CrossEntropyLoss others({.ignore_index = 7});
  EXPECT_THAT([&] { evaluate(model, others, {inputs, labels}); }, misuse("label -100 at index 2 is outside [0, 3)"));
  // Its loss is that of the three that count.
  const std::vector<float> pixels = values(inputs);
  std::vector<float> rest(pixels.begin(), pixels.begin() + 8);
  rest.insert(rest.end(), pixels.begin() + 12, pixels.begin() + 16);
  const Metrics of_rest = evaluate(model, {tensor(rest, {3, 1, 2, 2}), tensor<std::int64_t>({best[0], wrong, best[3]}, {3})});
  EXPECT_EQ(of_rest.ignored, 0);
  EXPECT_NEAR(metrics.loss(), of_rest.loss(), 1e-6);
  EXPECT_NEAR(metrics.loss_sum, of_rest.loss_sum, 3e-6);
}

TEST_P(IgnoredLabels, ALabelOutsideIsNamedByStepTrainerAndEvaluate) {
  const auto message = misuse("label 3 at index 3 is outside [0, 3)");
  const std::vector<std::int32_t> labels{0, -100, 2, 3};
  const Tensor inputs = random_tensor({4, 1, 2, 2}, 1);
  const Batch batch{inputs, tensor(labels, {4})};
  Sequential model{Flatten(), Linear(4, 3)};
  model.init(2).to(device());
  const std::vector<float> before = all_values(model);
  SGD optimizer(model.parameters(), {.lr = 0.1});
  TrainStep step(model, optimizer);
  EXPECT_THAT([&] { step(batch); }, message);
  EXPECT_THAT([&] { evaluate(model, batch); }, message);
  DataLoader loader(TensorDataset(inputs, tensor<std::int32_t>({0, 1, 2, 3}, {4})), {.batch_size = 4});
  Trainer trainer(model, optimizer, loader);
  const auto epoch = [&] {
    trainer.start_epoch();
    while (trainer.step()) {
    }
    trainer.finish();
  };
  EXPECT_THAT(epoch, message);
  EXPECT_EQ(all_values(model), before);
}

}  // namespace
}  // namespace gpucnn
