#include <gpucnn/train/trainer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>

#include "close.h"
#include "device_test.h"
#include "epoch_of.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// `size` images of random bytes with labels 0, 1, 2, 0, …
TensorDataset bytes(std::int64_t size, const Shape& image, Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (const float value : reference::random_floats(size * image.with(0, 1).numel(), 1)) {
    pixels.push_back(static_cast<std::uint8_t>((value + 1) * 127));
  }
  for (std::int64_t n = 0; n < size; ++n) labels.push_back(static_cast<std::int32_t>(n % 3));
  return TensorDataset(Tensor::from(pixels, image.with(0, size)), Tensor::from(labels, {size})).to(device);
}

Sequential small_model() { return Sequential{Flatten(), Linear(12, 8), Dropout(0.5), Linear(8, 3)}; }

/// A model, its optimizer and the batches it learns from: 25 images, so that an epoch is 10, 10 and 5.
struct Training {
  explicit Training(Device device, double lr = 1e-2)
      : optimizer((model.init(3).to(device), model.parameters()), {.lr = lr}),
        loader(bytes(25, {0, 3, 2, 2}, device), {.batch_size = 10,
                                                 .shuffle = true,
                                                 .seed = 5,
                                                 .normalize = Normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.25}},
                                                 .crop_padding = 1,
                                                 .flip = true}) {}
  Sequential model = small_model();
  Adam optimizer;
  DataLoader loader;
};

class TrainerTest : public DeviceTest {};
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

/// A layer that looks at what it computes, as a user's may: it cannot be recorded.
class Watched : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    ++forwards;
    largest = x.to_vector<float>()[0];
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
  mutable int forwards = 0;
  mutable float largest = 0;
};

TEST_P(TrainerTest, RunsLayersThatWaitForTheirResults) {
  Sequential model{Flatten(), Linear(12, 8), Dropout(0.5), Watched(), Linear(8, 3)}, other = small_model();
  Training by_step(device());
  model.init(3).to(device());
  Adam optimizer(model.parameters(), {.lr = 1e-2});
  Training data(device());
  Trainer trainer(model, optimizer, data.loader);
  TrainStep step(by_step.model, by_step.optimizer);
  for (int epoch = 0; epoch < 3; ++epoch) {
    epoch_of(trainer);
    for (const Batch& batch : by_step.loader) step(batch);
  }
  expect_close(all_values(model), as_doubles(all_values(by_step.model)), kSum);
  EXPECT_GE(model.at<Watched>("3").forwards, 9);
}

TEST_P(TrainerTest, CallsHooksInEveryStep) {
  Training data(device());
  int calls = 0;
  Trainer trainer(data.model, data.optimizer, data.loader);
  for (int epoch = 0; epoch < 2; ++epoch) epoch_of(trainer);  // on a GPU, steps are captured by then
  const int hook = data.model.at("1").register_forward_hook([&](const Module&, const Tensor&, const Tensor&) { ++calls; });
  epoch_of(trainer);
  EXPECT_EQ(calls, data.loader.size());
  data.model.at("1").remove_hook(hook);
  epoch_of(trainer);
  EXPECT_EQ(calls, data.loader.size());
}

/// A layer that makes the plan of its convolution anew in every call, as a user's may.
class Forgetful : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override {
    Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
    kernels::Conv2dPlan(x.shape(), 33, {.kernel_size = 1}, x.device())
        .forward(x, weight_.value(), bias_.value(), {}, y, context.stream());
    return y;
  }
  Tensor gradients(const Tensor&, Context&) override { return {}; }
  void members(Members& m) override {
    m("weight", weight_);
    m("bias", bias_);
  }

 private:
  Parameter weight_{{33, 33, 1, 1}, Init::constant(0.02F)}, bias_{{33}, Init::constant(0.1F)};
};

TEST_P(TrainerTest, ReplaysAStepWhosePlansTheLayersHaveForgotten) {
  struct Convolutions {
    explicit Convolutions(Device device)
        : optimizer((model.init(3).to(device), model.parameters())),
          loader(bytes(8, {0, 33, 3, 3}, device), {.batch_size = 4}),
          trainer(model, optimizer, loader) {}
    Sequential model{Forgetful(), Conv2d(33, 32, {.kernel_size = 3}), Flatten(), Linear(32, 3)};
    Adam optimizer;
    DataLoader loader;
    Trainer trainer;
  };
  Convolutions one(device()), other(device());
  for (int epoch = 0; epoch < 3; ++epoch) {
    const double loss = epoch_of(one.trainer).loss();
    // More shapes than a layer keeps plans for.
    for (std::int64_t N = 5; N < 25; ++N) one.model.predict(random_tensor({N, 33, 3, 3}, 1, device()));
    EXPECT_EQ(loss, epoch_of(other.trainer).loss());
  }
  EXPECT_EQ(all_values(one.model), all_values(other.model));
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

/// A Linear whose gradients count twice: it looks at them as soon as they are there.
class Doubling : public Module {
 public:
  Doubling(int in, int out) : linear_(in, out) {}
  Shape output_shape(const Shape& x) const override { return linear_.output_shape(x); }
  void members(Members& m) override { m("linear", linear_); }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override { return linear_(x, context); }
  Tensor gradients(const Tensor& dy, Context& context) override {
    Tensor dx = linear_.backward(dy, context);
    for (Parameter parameter : {linear_.weight(), linear_.bias()}) parameter.accumulate_grad(parameter.grad().clone());
    return dx;
  }

 private:
  Linear linear_;
};

TEST_P(TrainerTest, ALayerMayLookAtGradientsDuringTheBackward) {
  const auto values = [&](bool captured) {
    Sequential model{Flatten(), Doubling(12, 8), ReLU(), Doubling(8, 3)};
    model.init(3).to(device());
    SGD sgd(model.parameters(), {.lr = 0.1});
    Adam adam(model.parameters(), {.eps = 1});  // so that a gradient's size shows
    DataLoader loader(bytes(25, {0, 3, 2, 2}, device()), {.batch_size = 5});
    for (Optimizer* optimizer : {static_cast<Optimizer*>(&adam), static_cast<Optimizer*>(&sgd)}) {
      if (captured) {
        Trainer trainer(model, *optimizer, loader);
        epoch_of(trainer);
      } else {
        TrainStep step(model, *optimizer);
        for (const Batch& batch : loader) step(batch);
      }
    }
    return all_values(model);
  };
  EXPECT_EQ(values(true), values(false));
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
