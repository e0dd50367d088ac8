// Clipping and an average of the model within a step: call by call, captured, in `fit`.
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/clip_grad.h>
#include <gpucnn/optim/schedules/one_cycle_lr.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "counted.h"
#include "device_test.h"
#include "everywhere.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

constexpr std::int64_t kImages = 22;  // an epoch is 8, 8 and 6

/// Random images; in image `broken`, if there is one, a pixel is not a number.
TensorDataset images(Device device, std::int64_t broken = -1) {
  std::vector<float> pixels = reference::random_floats(kImages * 3 * 36, 1);
  if (broken >= 0) pixels[static_cast<std::size_t>(broken * 3 * 36)] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::int32_t> labels;
  for (std::int64_t n = 0; n < kImages; ++n) labels.push_back(static_cast<std::int32_t>(n % 4));
  return TensorDataset(Tensor::from(pixels, {kImages, 3, 6, 6}), Tensor::from(labels, {kImages})).to(device);
}

std::vector<std::vector<float>> floats(const StateDict& state) {
  std::vector<std::vector<float>> all;
  for (const auto& [name, tensor] : state) {
    if (tensor.dtype() == DType::f32) all.push_back(tensor.to_vector<float>());
  }
  return all;
}

struct Recipe {
  explicit Recipe(Device device, std::int64_t broken = -1)
      : optimizer((model.init(3).to(device), no_decay_on_biases_and_norms(model.parameters(), AdamWOptions{.weight_decay = 0.05}))),
        schedule(optimizer, {.max_lr = 0.02, .total_steps = 30}),
        loader(images(device, broken), {.batch_size = 8, .shuffle = broken < 0, .seed = 5}),
        ema(model, {.decay = 0.8}) {}

  StepOptions options() { return {.clip_grad_value = 0.05, .clip_grad_norm = 0.1, .ema = &ema}; }

  Sequential model{
      Conv2d(3, 5, {.kernel_size = 3, .padding = 1}), BatchNorm2d(5), ReLU(), Counted(), Flatten(), Dropout(0.3), Linear(180, 4)};
  CrossEntropyLoss loss{{.label_smoothing = 0.1}};
  AdamW optimizer;
  OneCycleLR schedule;
  DataLoader loader;
  ExponentialMovingAverage ema;
};

class ClipAndAverageTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ClipAndAverageTest, devices(), device_name);

/// The step with these options against its parts one by one.
TEST_P(ClipAndAverageTest, IsClippingUpdateAndAverageByHand) {
  Recipe one(device()), other(device());
  TrainStep step(one.model, one.optimizer, one.loss, one.options());
  for (const Batch& batch : one.loader) step(batch);
  for (const Batch& batch : other.loader) {
    other.optimizer.zero_grad();
    const Tensor output = other.model(batch.inputs);
    other.loss(output, batch.labels);
    other.model.backward(other.loss.backward());
    clip_grad_value(other.optimizer.parameters(), 0.05);
    EXPECT_GT(clip_grad_norm(other.optimizer.parameters(), 0.1).item(), 0.1F) << "it is not clipped, and the test tests nothing";
    other.optimizer.step();
    other.ema.update();
  }
  EXPECT_EQ(floats(one.model.state_dict()), floats(other.model.state_dict()));
  EXPECT_EQ(floats(one.ema.state_dict()), floats(other.ema.state_dict()));
  EXPECT_NE(floats(one.ema.state_dict()), floats(one.model.state_dict()));
  EXPECT_EQ(one.ema.n_averaged(), 3);
}

TEST_P(ClipAndAverageTest, UnderATrainerAsStepByStep) {
  Recipe trained(device()), by_step(device());
  Trainer trainer(trained.model, trained.optimizer, trained.loss, trained.loader, trained.options());
  TrainStep step(by_step.model, by_step.optimizer, by_step.loss, by_step.options());
  for (int epoch = 0; epoch < 4; ++epoch) {
    SCOPED_TRACE(epoch);
    for (const Batch& batch : by_step.loader) {
      step(batch);
      by_step.schedule.step();
    }
    trainer.start_epoch();
    while (trainer.step()) trained.schedule.step();
    trainer.finish();
    EXPECT_EQ(floats(trained.model.state_dict()), floats(by_step.model.state_dict()));
    EXPECT_EQ(floats(trained.ema.state_dict()), floats(by_step.ema.state_dict()));
    EXPECT_EQ(trained.ema.n_averaged(), 3 * (epoch + 1));
    const ExponentialMovingAverage::Applied averaged(trained.ema);  // weights come and go while graphs hold their addresses
  }
  const char* const batches = "module.1.num_batches_tracked";
  EXPECT_EQ(trained.ema.state_dict().at(batches).to_vector<std::int64_t>(),
            by_step.ema.state_dict().at(batches).to_vector<std::int64_t>());
  if (device().kind == Device::Kind::cuda) {
    EXPECT_EQ(trained.model.at<Counted>("3").forwards, 4) << "for each of two batch sizes one step is run and one captured";
  }
}

/// The running statistics take in what is not a number, as PyTorch's do.
void forget_statistics(Module& model) {
  Tensor(model.state_dict().at("1.running_mean")).copy_from(Tensor::zeros({5}));
  Tensor(model.state_dict().at("1.running_var")).copy_from(Tensor::full({5}, 1));
}

TEST_P(ClipAndAverageTest, ALossThatIsNotFiniteIsNotAveraged) {
  for (const std::int64_t broken : {1, 5, 9, 21}) {  // steps 1, 2, 3 and 6 of batches of 4, 4, 4, 4, 4 and 2
    SCOPED_TRACE(broken);
    Recipe trained(device()), by_step(device());
    DataLoader loader(images(device(), broken), {.batch_size = 4});
    Trainer trainer(trained.model, trained.optimizer, trained.loss, loader, trained.options());
    TrainStep step(by_step.model, by_step.optimizer, by_step.loss, by_step.options());
    const auto epoch = [&] {
      trainer.start_epoch();
      while (trainer.step()) continue;
      trainer.finish();
    };
    for (int times = 1; times <= 3; ++times) {  // later times as a captured step, behind which others are queued
      EXPECT_THROW(epoch(), NonFiniteLoss);
      std::int64_t done = 0;
      for (const Batch& batch : loader) {
        if (done++ == broken / 4) {
          EXPECT_THROW(step(batch), NonFiniteLoss);
          break;
        }
        step(batch);
      }
      EXPECT_EQ(trained.ema.n_averaged(), times * (broken / 4));
      EXPECT_EQ(floats(trained.ema.state_dict()), floats(by_step.ema.state_dict()));
      forget_statistics(trained.model);
      forget_statistics(by_step.model);
    }
  }
}

TEST_P(ClipAndAverageTest, AsksForNoMemoryOnceItHasMetEachBatchSize) {
  Recipe recipe(device());
  Trainer trainer(recipe.model, recipe.optimizer, recipe.loss, recipe.loader, recipe.options());
  const auto epochs = [&](int count) {
    for (int epoch = 0; epoch < count; ++epoch) {
      trainer.start_epoch();
      while (trainer.step()) continue;
      trainer.finish();
    }
    return allocator_stats(device());
  };
  const AllocatorStats before = epochs(3), after = epochs(4);
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_EQ(after.in_use, before.in_use);
}

TEST_P(ClipAndAverageTest, FitJudgesTheAverageAndGivesTheWeightsBack) {
  Recipe fitted(device()), by_step(device());
  DataLoader test(images(device()), {.batch_size = 10});
  std::vector<std::vector<float>> in_callback;
  const FitResult result = fit(fitted.model, fitted.optimizer, fitted.loss, fitted.loader, test,
                               {.epochs = 2,
                                .on_epoch = [&](const EpochResult&) { in_callback = floats(fitted.model.state_dict()); },
                                .scheduler = &fitted.schedule,
                                .schedule_every = Every::step,
                                .step = fitted.options()});
  TrainStep step(by_step.model, by_step.optimizer, by_step.loss, by_step.options());
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (const Batch& batch : by_step.loader) {
      step(batch);
      by_step.schedule.step();
    }
  }
  EXPECT_EQ(floats(fitted.model.state_dict()), floats(by_step.model.state_dict()));
  EXPECT_EQ(in_callback, floats(by_step.model.state_dict()));
  Metrics own, averaged;
  for (const Batch& batch : test) own += evaluate(by_step.model, by_step.loss, batch);
  by_step.ema.copy_to(by_step.model);
  for (const Batch& batch : test) averaged += evaluate(by_step.model, by_step.loss, batch);
  EXPECT_EQ(result.epochs.back().test.loss_sum, averaged.loss_sum);
  EXPECT_NE(averaged.loss_sum, own.loss_sum);
  const auto expected = floats(fitted.model.state_dict());
  int asked = 0;
  fit(fitted.model, fitted.optimizer, fitted.loss, test, test,
      {.epochs = 1, .stop = [&] { return ++asked == 5; }, .step = {.clip_grad_norm = 1e-30, .ema = &fitted.ema}});
  EXPECT_EQ(asked, 5);  // among the test's batches
  EXPECT_NE(floats(fitted.model.state_dict()), expected);
  EXPECT_EQ(fitted.ema.n_averaged(), 9);
  EXPECT_NO_THROW(fitted.ema.update()) << "the averages are still in the model";
}

TEST(ClipAndAverage, GiveTheSameBitsOnAnyNumberOfThreads) {
  const auto state_with = [](int threads) {
    const ForcedThreads forced(threads);
    Recipe recipe(Device::cpu());
    TrainStep step(recipe.model, recipe.optimizer, recipe.loss, recipe.options());
    for (const Batch& batch : recipe.loader) step(batch);
    return floats(recipe.ema.state_dict());
  };
  const auto one = state_with(1);
  EXPECT_EQ(state_with(2), one);
  EXPECT_EQ(state_with(5), one);
}

TEST(ClipAndAverage, RefuseOptionsThatMakeNoSense) {
  Recipe recipe(Device::cpu()), other(Device::cpu());
  const auto with = [&](const StepOptions& options) {
    return [&, options] { TrainStep(recipe.model, recipe.optimizer, options); };
  };
  EXPECT_THAT(with({.clip_grad_norm = -1}), misuse("StepOptions: clip_grad_norm must be > 0, got -1"));
  EXPECT_THAT(with({.clip_grad_norm = 0}), misuse("StepOptions: clip_grad_norm must be > 0, got 0"));
  EXPECT_THAT(with({.clip_grad_value = std::nan("")}), misuse("StepOptions: clip_grad_value must be > 0, got nan"));
  EXPECT_THAT(with({.ema = &other.ema}), misuse("StepOptions: ema must be of the model given"));
  EXPECT_THAT([&] { Trainer(recipe.model, recipe.optimizer, recipe.loader, {.ema = &other.ema}); }, misuse("StepOptions: ema"));
  EXPECT_THAT([&] { fit(recipe.model, recipe.optimizer, recipe.loader, recipe.loader, {.step = {.clip_grad_norm = -1}}); },
              misuse("StepOptions: clip_grad_norm must be > 0, got -1"));
  const std::vector<Parameter> parameters = recipe.model.parameters();
  EXPECT_THAT([&] { clip_grad_norm(parameters, -1); }, misuse("clip_grad_norm: max_norm must be >= 0, got -1"));
  EXPECT_THAT([&] { clip_grad_norm(parameters, 1, 0); }, misuse("clip_grad_norm: norm_type must be > 0, got 0"));
  EXPECT_THAT([&] { clip_grad_value(parameters, std::nan("")); }, misuse("clip_grad_value: clip_value must be >= 0, got nan"));
  EXPECT_EQ(clip_grad_norm({}, 1).item(), 0);
  EXPECT_EQ(clip_grad_norm(parameters, 1).item(), 0);  // none has a gradient
}

}  // namespace
}  // namespace gpucnn
