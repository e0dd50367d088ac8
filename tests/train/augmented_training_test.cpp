#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "device_test.h"
#include "epoch_of.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// 25 images of random bytes with labels 0, 1, 2, 0, …
TensorDataset drawn(Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (const float value : reference::random_floats(25 * 3 * 6 * 5, 1))
    pixels.push_back(static_cast<std::uint8_t>((value + 1) * 127));
  for (int n = 0; n < 25; ++n) labels.push_back(n % 3);
  return TensorDataset(Tensor::from(pixels, {25, 3, 6, 5}), Tensor::from(labels, {25})).to(device);
}

/// All augmentations on: an epoch is 10, 10 and 5 images.
struct Training {
  Training(Device device, bool resized)
      : optimizer((model.init(3).to(device), model.parameters()), {.lr = 0.05}),
        loader(drawn(device),
               {.batch_size = 10,
                .shuffle = true,
                .seed = 5,
                .normalize = Normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.25}},
                .crop_padding = resized ? 0 : 1,
                .flip = resized,
                .alternating_flip = !resized,
                .random_resized_crop = resized ? std::optional(RandomResizedCropOptions{.size = {6, 5}}) : std::nullopt,
                .color_jitter = {.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1},
                .cutout = 2,
                .mix = {.mixup_alpha = 0.4, .cutmix_alpha = 1, .num_classes = 3}}) {}
  Sequential model{Flatten(), Linear(90, 8), Dropout(0.5), Linear(8, 3)};
  SGD optimizer;
  DataLoader loader;
};

class AugmentedTraining : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentedTraining, devices(), device_name);

TEST_P(AugmentedTraining, TrainerStepAndCpuAgreeWithEverythingOn) {
  for (const bool resized : {false, true}) {
    Training trained(device(), resized), by_step(device(), resized), on_cpu(Device::cpu(), resized);
    Trainer trainer(trained.model, trained.optimizer, trained.loader);
    TrainStep step(by_step.model, by_step.optimizer), cpu_step(on_cpu.model, on_cpu.optimizer);
    std::int64_t correct = 0;
    for (int epoch = 0; epoch < 5; ++epoch) {
      SCOPED_TRACE(epoch);
      Metrics expected, cpu;
      for (const Batch& batch : by_step.loader) expected += step(batch);
      for (const Batch& batch : on_cpu.loader) cpu += cpu_step(batch);
      const Metrics seen = epoch_of(trainer);
      EXPECT_EQ(seen.images, 25);
      EXPECT_EQ(seen.correct, expected.correct);
      EXPECT_EQ(seen.correct, cpu.correct);
      EXPECT_NEAR(seen.loss(), expected.loss(), 1e-6);
      EXPECT_NEAR(seen.loss(), cpu.loss(), 1e-5);
      expect_close(all_values(trained.model), as_doubles(all_values(by_step.model)), kSum);
      expect_close(all_values(trained.model), as_doubles(all_values(on_cpu.model)), {0, 0, 1e-5});
      correct += seen.correct;
    }
    EXPECT_GT(correct, 0);
  }
}

TEST_P(AugmentedTraining, AnImageIsRightIfItsLargestLogitIsAtTheLargestProbability) {
  Training training(device(), false);
  const Batch batch = *training.loader.begin();
  const std::vector<float> logits = training.model.eval().predict(batch.inputs).to_vector<float>(),
                           probabilities = batch.labels.to_vector<float>();
  std::int64_t expected = 0;
  for (std::size_t n = 0; n < 10; ++n) {
    const auto largest = [&](const std::vector<float>& rows) {
      return std::max_element(&rows[3 * n], &rows[3 * n] + 3) - &rows[3 * n];
    };
    expected += largest(logits) == largest(probabilities);
  }
  EXPECT_GT(expected, 0);
  EXPECT_EQ(evaluate(training.model, batch).correct, expected);
  MSELoss numbers;  // to this one, the same targets are no classes
  EXPECT_EQ(evaluate(training.model, numbers, batch).correct, 0);
}

TEST_P(AugmentedTraining, NamesALabelThatIsNoClass) {
  Sequential model{Flatten(), Linear(90, 2)};
  model.to(device());
  SGD optimizer(model.parameters(), {.lr = 0.1});
  DataLoader loader(drawn(device()), {.batch_size = 5, .mix = {.mixup_alpha = 1, .num_classes = 2}});
  Trainer trainer(model, optimizer, loader);
  EXPECT_THAT([&] { epoch_of(trainer); }, misuse("label 2 at index 2 is outside [0, 2)"));
}

}  // namespace
}  // namespace gpucnn
