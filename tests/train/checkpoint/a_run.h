#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/random.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/schedules/one_cycle_lr.h>
#include <gpucnn/train/checkpoint.h>
#include <gpucnn/train/exponential_moving_average.h>
#include <gpucnn/train/fit.h>

namespace gpucnn {

/// All that a run may have: BatchNorm, dropout, augmentation, a schedule with a cycle of momentum, clipping and an average.
struct ARun {
  static constexpr int kEpochs = 3;
  static constexpr std::int64_t kImages = 22, kBatch = 4;  // six batches an epoch, the last of two

  explicit ARun(Device where, std::uint64_t seed = 1) : device(where) { model.init(seed).to(device); }

  static TensorDataset images(Device device, std::int64_t count) {
    const RandomStream random(7, Purpose::shapes);
    std::vector<std::uint8_t> pixels;
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < count * 3 * 8 * 8; ++i) pixels.push_back(static_cast<std::uint8_t>(random.word(i) >> 24));
    for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
    return {Tensor::from(pixels, {count, 3, 8, 8}, device), Tensor::from(labels, {count}, device)};
  }

  RunParts parts() {
    return {.model = model, .optimizer = optimizer, .train = &train, .test = &test, .scheduler = &schedule, .ema = &ema};
  }

  FitOptions options() {
    return {.epochs = kEpochs, .scheduler = &schedule, .schedule_every = Every::step, .step = {.clip_grad_norm = 1.0, .ema = &ema}};
  }

  FitResult fit(const FitOptions& options) { return gpucnn::fit(model, optimizer, loss, train, test, options); }

  /// Everything that training changes, as bits.
  std::vector<std::pair<std::string, std::vector<std::uint32_t>>> bits();

  Device device;
  Sequential model{Conv2d(3, 6, {.kernel_size = 3, .padding = 1, .bias = false}),
                   BatchNorm2d(6),
                   ReLU(),
                   MaxPool2d(2),
                   Flatten(),
                   Linear(96, 16),
                   ReLU(),
                   Dropout(0.3),
                   Linear(16, 3)};
  Adam optimizer{model.parameters(), {.lr = 0.01}};
  OneCycleLR schedule{optimizer, {.max_lr = 0.02, .total_steps = kEpochs * 6}};
  ExponentialMovingAverage ema{model, {.decay = 0.8}};
  CrossEntropyLoss loss{{.label_smoothing = 0.1}};
  DataLoader train{images(device, kImages), {.batch_size = kBatch, .shuffle = true, .seed = 3, .crop_padding = 1, .flip = true}};
  DataLoader test{images(device, 10), {.batch_size = kBatch, .shuffle = true, .seed = 4}};
};

inline std::vector<std::pair<std::string, std::vector<std::uint32_t>>> ARun::bits() {
  std::vector<std::pair<std::string, std::vector<std::uint32_t>>> all;
  const auto add = [&](const std::string& prefix, const StateDict& state) {
    for (const auto& [name, tensor] : state) {
      const Tensor host = tensor.to(Device::cpu());
      std::vector<std::uint32_t> words(host.nbytes() / sizeof(std::uint32_t));
      std::memcpy(words.data(), host.bytes(), host.nbytes());
      all.emplace_back(prefix + name, std::move(words));
    }
  };
  add("model.", model.state_dict());
  add("optimizer.", optimizer.state_dict());
  add("ema.", ema.state_dict());
  const auto add_number = [&](const std::string& name, double value) {
    std::vector<std::uint32_t> words(2);
    std::memcpy(words.data(), &value, sizeof value);
    all.emplace_back(name, std::move(words));
  };
  add_number("lr", optimizer.lr());
  add_number("momentum", optimizer.momentum());
  for (const double number : schedule.state()) add_number("schedule", number);
  add_number("random_step", static_cast<double>(model.random_step()));
  add_number("train.epoch", static_cast<double>(train.epoch()));
  add_number("test.epoch", static_cast<double>(test.epoch()));
  return all;
}

}  // namespace gpucnn
