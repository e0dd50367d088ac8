#include <gtest/gtest.h>

#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "epoch_of.h"
#include "small_training.h"

// Layers of users under a Trainer, which cannot record all of them.
namespace gpucnn {
namespace {

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

}  // namespace
}  // namespace gpucnn
