// A step that a Trainer captures on a GPU against the same step call by call, for every kind of layer, with the options of losses
// and optimizers that change what is captured.
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/leaky_relu.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/relu6.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/schedules/one_cycle_lr.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "device_test.h"
#include "layers/layers.h"

namespace gpucnn {
namespace {

constexpr std::int64_t kImages = 22;  // an epoch is 8, 8 and 6
constexpr int kIgnored = 4;

Sequential network() {
  return Sequential{Conv2d(3, 8, {.kernel_size = 3, .padding = 1, .bias = false}),
                    BatchNorm2d(8),
                    ReLU6(),
                    Residual(Sequential{Conv2d(8, 8, {.kernel_size = 3, .padding = 1}), BatchNorm2d(8, {.momentum = {}}), ReLU()}),
                    MaxPool2d({.kernel_size = 2, .stride = 2, .dilation = 2, .ceil_mode = true}),
                    Concat{Conv2d(8, 4, {.kernel_size = 1}), AvgPool2d(3, 1, 1), Sequential{LeakyReLU(), MaxPool2d(3, 1, 1)}},
                    GroupNorm(5, 20),
                    Residual(Sequential{SiLU(), Conv2d(20, 20, {.kernel_size = 1}), Sigmoid()}, Sequential{GELU(), Softmax()}),
                    Residual(Sequential{GELU("tanh"), Dropout2d(0.3)}, Sequential{Hardswish(), Identity()}),
                    Upsample({1, 2}),
                    Tanh(),
                    Residual(AdaptiveMaxPool2d(2), AdaptiveAvgPool2d(2)),
                    Dropout(0.3),
                    Flatten(),
                    Linear(80, 4)};
}

/// Random images; every fifth label is ignored.
TensorDataset images(Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (const float value : reference::random_floats(kImages * 3 * 6 * 6, 1)) {
    pixels.push_back(static_cast<std::uint8_t>((value + 1) * 127));
  }
  for (std::int64_t n = 0; n < kImages; ++n) labels.push_back(static_cast<std::int32_t>(n % 5));
  return TensorDataset(Tensor::from(pixels, {kImages, 3, 6, 6}), Tensor::from(labels, {kImages})).to(device);
}

/// A model, a loss with every option, an optimizer with two groups, a schedule that changes rate and momentum in every step.
struct Recipe {
  explicit Recipe(Device device)
      : loss({.weight = Tensor::from(std::vector<float>{1, 2, 0.5F, 1}, {4}), .ignore_index = kIgnored, .label_smoothing = 0.1}),
        optimizer((model.init(3).to(device), no_decay_on_biases_and_norms(model.parameters(), AdamWOptions{.weight_decay = 0.05}))),
        schedule(optimizer, {.max_lr = 0.02, .total_steps = 30}),
        loader(images(device), {.batch_size = 8, .shuffle = true, .seed = 5, .flip = true}) {}

  std::vector<std::vector<float>> state() {
    std::vector<std::vector<float>> all;
    for (const auto& [name, tensor] : model.state_dict()) {
      if (tensor.dtype() == DType::f32) all.push_back(tensor.to_vector<float>());
    }
    return all;
  }

  Sequential model = network();
  CrossEntropyLoss loss;
  AdamW optimizer;
  OneCycleLR schedule;
  DataLoader loader;
};

class EveryLayerTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, EveryLayerTest, devices(), device_name);

TEST_P(EveryLayerTest, TrainsUnderATrainerAsStepByStep) {
  Recipe trained(device()), by_step(device());
  Trainer trainer(trained.model, trained.optimizer, trained.loss, trained.loader);
  TrainStep step(by_step.model, by_step.optimizer, by_step.loss);
  for (int epoch = 0; epoch < 5; ++epoch) {
    SCOPED_TRACE(epoch);
    if (epoch == 3) {  // a captured step must not go on learning what is frozen
      trained.model.at("0").requires_grad(false);
      by_step.model.at("0").requires_grad(false);
    }
    Metrics expected, seen;
    for (const Batch& batch : by_step.loader) {
      expected += step(batch);
      by_step.schedule.step();
    }
    trainer.start_epoch();
    while (trainer.step()) {
      seen += trainer.take();
      trained.schedule.step();
    }
    seen += trainer.finish();
    EXPECT_EQ(seen.loss_sum, expected.loss_sum);
    EXPECT_EQ(seen.correct, expected.correct);
    EXPECT_EQ(trained.state(), by_step.state());
  }
  EXPECT_EQ(trained.model.state_dict().at("1.num_batches_tracked").to_vector<std::int64_t>(), (std::vector<std::int64_t>{15}));
}

TEST_P(EveryLayerTest, FollowsMomentumAndRateOfEachGroupOfEveryOptimizer) {
  const auto run = [&](auto kind, auto options, bool by_trainer) {
    Sequential model = network();
    model.init(3).to(device());
    auto groups = no_decay_on_biases_and_norms(model.parameters(), options);
    groups[1].options.lr = 0.02;
    typename decltype(kind)::type optimizer(std::move(groups));
    CrossEntropyLoss loss({.ignore_index = kIgnored});
    DataLoader loader(images(device()), {.batch_size = 8, .shuffle = true, .seed = 5});
    const auto change = [&](int at) {
      optimizer.set_lr(static_cast<std::size_t>(at) % optimizer.groups(), 0.01 / (1 + at));
      optimizer.set_momentum(1, 0.9 - 0.05 * at);
    };
    int at = 0;
    if (by_trainer) {
      Trainer trainer(model, optimizer, loss, loader);
      for (int epoch = 0; epoch < 3; ++epoch) {
        trainer.start_epoch();
        while (trainer.step()) change(at++);
        trainer.finish();
      }
    } else {
      TrainStep step(model, optimizer, loss);
      for (int epoch = 0; epoch < 3; ++epoch) {
        for (const Batch& batch : loader) {
          step(batch);
          change(at++);
        }
      }
    }
    return all_values(model);
  };
  const auto test = [&](auto kind, auto options) { EXPECT_EQ(run(kind, options, true), run(kind, options, false)); };
  test(std::type_identity<SGD>(), SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 0.01});
  test(std::type_identity<Adam>(), AdamOptions{.lr = 0.01, .betas = {0.9, 0.5}, .amsgrad = true});
  test(std::type_identity<RMSprop>(), RMSpropOptions{.lr = 0.01, .eps = 0.1, .momentum = 0.5, .centered = true});
  test(std::type_identity<Muon>(), MuonOptions{.lr = 0.01});
}

}  // namespace
}  // namespace gpucnn
