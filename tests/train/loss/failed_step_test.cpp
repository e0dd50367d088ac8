#include <cstdint>

#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"
#include "train/loss/three_classes.h"

// Steps that were queued behind one whose loss is not finite leave nothing behind.
namespace gpucnn {
namespace {

class FailedStep : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, FailedStep, devices(), device_name);

/// Counts its training forwards in a buffer, on the device.
struct Counting : Module {
  Tensor count = Tensor::zeros({1});
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override {
    if (context.training()) backend::add(x.device(), Tensor(count).device_data<float>(), one_.device_data<float>(), 1);
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
  void members(Members& m) override {
    m("one", one_);
    m("count", count);
  }

 private:
  Tensor one_ = Tensor::full({1}, 1);
};

TEST_P(FailedStep, StepsBehindOneThatFailedCountNoForward) {
  for (const bool trains : {true, false}) {
    Sequential model{Flatten(), Linear(4, 3)};
    model.init(2).to(device()).train(trains);
    SGD optimizer(model.parameters(), {.lr = 0.1});
    DataLoader loader = loader_on(device());
    Trainer trainer(model, optimizer, loader);
    std::int64_t failed = 0;
    try {
      for (int epoch = 0; epoch < 5; ++epoch) {
        if (epoch == 2) optimizer.set_lr(3e38);
        trainer.start_epoch();
        while (trainer.step()) {
        }
        trainer.finish();
      }
    } catch (const NonFiniteLoss& error) {
      failed = error.step();
    }
    ASSERT_GT(failed, 8);
    EXPECT_EQ(model.random_step(), trains ? static_cast<std::uint64_t>(failed) : 0U);
  }
}

TEST_P(FailedStep, NoStepBehindOneThatFailedWritesToABuffer) {
  Sequential model{Flatten(), Counting(), Linear(4, 3)};
  model.init(2).to(device());
  SGD optimizer(model.parameters(), {.lr = 0.1});
  DataLoader loader = loader_on(device());
  Trainer trainer(model, optimizer, loader);
  const auto epoch = [&] {
    trainer.start_epoch();
    while (trainer.step()) {
    }
    trainer.finish();
  };
  epoch();
  epoch();
  EXPECT_EQ(model.at<Counting>("1").count.item(), 8);
  optimizer.set_lr(3e38);  // the next update makes the loss after it not finite
  std::int64_t failed = 0;
  try {
    for (int i = 0; i < 3; ++i) epoch();
  } catch (const NonFiniteLoss& error) {
    failed = error.step();
  }
  ASSERT_GT(failed, 8);
  EXPECT_EQ(model.at<Counting>("1").count.item(), static_cast<float>(failed));
  EXPECT_EQ(model.random_step(), static_cast<std::uint64_t>(failed));
  for (const Parameter& parameter : model.parameters()) EXPECT_FALSE(parameter.has_grad()) << parameter.name();
}

}  // namespace
}  // namespace gpucnn
