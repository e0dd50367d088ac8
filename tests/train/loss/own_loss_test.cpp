#include <cstdint>
#include <stdexcept>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/kernels/loss/softmax_cross_entropy.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/functional.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"
#include "misuse.h"
#include "train/loss/three_classes.h"

// What trains takes any Loss, by its own gradient and with labels that it alone understands.
namespace gpucnn {
namespace {

class OwnLoss : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, OwnLoss, devices(), device_name);

/// Cross-entropy with twice its gradient, on labels of any dtype that a batch has.
class DoubledGradient : public Loss {
 protected:
  Tensor forward(const Tensor& logits, const Tensor& labels, Tensor& dlogits) const override {
    Stream stream(logits.device());
    Tensor loss = Tensor::empty({}, DType::f32, logits.device());
    kernels::softmax_cross_entropy(logits, labels, loss, dlogits, stream);
    const Tensor once = dlogits.clone();
    backend::add(dlogits.device(), dlogits.device_data<float>(), once.device_data<float>(), dlogits.numel());
    return loss;
  }
};

TEST_P(OwnLoss, TeachesByItsOwnGradient) {
  // Twice the gradient and half the rate are the same update, bit for bit.
  const auto learned = [&](bool doubled, const auto& train) {
    Sequential model{Flatten(), Linear(4, 3)};
    model.init(2).to(device());
    SGD optimizer(model.parameters(), {.lr = doubled ? 0.25 : 0.5});
    CrossEntropyLoss plain;
    DoubledGradient twice;
    DataLoader loader = loader_on(device());
    train(model, optimizer, doubled ? static_cast<Loss&>(twice) : plain, loader);
    return all_values(model);
  };
  const auto by_step = [](Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader) {
    TrainStep step(model, optimizer, loss);
    for (int epoch = 0; epoch < 3; ++epoch) {
      for (const Batch& batch : loader) step(batch);
    }
  };
  const auto by_trainer = [](Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader) {
    Trainer trainer(model, optimizer, loss, loader);
    for (int epoch = 0; epoch < 3; ++epoch) {
      trainer.start_epoch();
      while (trainer.step()) trainer.take();
    }
    trainer.finish();
  };
  const auto by_fit = [](Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader) {
    fit(model, optimizer, loss, loader, loader, {.epochs = 3});
  };
  const std::vector<float> expected = learned(false, by_step);
  EXPECT_EQ(learned(true, by_step), expected);
  EXPECT_EQ(learned(true, by_trainer), learned(false, by_trainer));
  EXPECT_EQ(learned(true, by_fit), learned(false, by_fit));
  EXPECT_EQ(learned(false, by_trainer), learned(false, by_fit));
}

/// Ignores labels below 0, as PyTorch's ignore_index does, and costs nothing.
class Ignores : public Loss {
 protected:
  Tensor forward(const Tensor& logits, const Tensor&, Tensor& dlogits) const override {
    dlogits.copy_from(Tensor::zeros(logits.shape(), DType::f32, logits.device()));
    return Tensor::zeros({}, DType::f32, logits.device());
  }
};

TEST_P(OwnLoss, MayTakeLabelsThatAreNoClasses) {
  Sequential model{Flatten(), Linear(4, 3)};
  model.to(device());
  SGD optimizer(model.parameters(), {.lr = 0.1});
  Ignores loss;
  TrainStep step(model, optimizer, loss);
  const Tensor inputs = random_tensor({2, 4}, 1);
  const std::int64_t best = argmax(model.predict(inputs)).to_vector<std::int64_t>()[0];
  const std::vector<std::int64_t> labels{best, -100};
  EXPECT_EQ(step({inputs, Tensor::from(labels, {2}, device())}).correct, 1);
  EXPECT_EQ(step({inputs, random_tensor({2, 3}, 2)}).correct, 0) << "numbers are no classes to this loss";
}

TEST_P(OwnLoss, LabelsAreNoTargetsOfMSELoss) {
  Sequential model{Flatten(), Linear(4, 3)};
  model.init(2).to(device());
  SGD optimizer(model.parameters(), {.lr = 0.1});
  MSELoss loss;
  DataLoader loader = loader_on(device());
  Trainer trainer(model, optimizer, loss, loader);
  trainer.start_epoch();
  EXPECT_THAT([&] { trainer.step(); }, misuse("MSELoss: expects f32 targets of the input's shape [5, 3], got i32 [5]"));
}

TEST_P(OwnLoss, ALossThatThrowsLeavesNoGradient) {
  CrossEntropyLoss loss;
  const std::vector<std::int32_t> labels{0, 1};
  loss(random_tensor({2, 3}, 1), Tensor::from(labels, {2}, device()));
  EXPECT_THROW(loss(random_tensor({3, 3}, 1), Tensor::from(labels, {2}, device())), std::invalid_argument);
  EXPECT_THROW(loss.backward(), std::logic_error);
}

}  // namespace
}  // namespace gpucnn
