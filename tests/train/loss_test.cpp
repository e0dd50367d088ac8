#include <gpucnn/layers/losses/loss.h>

#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/loss/softmax_cross_entropy.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/functional.h>
#include <gpucnn/layers/losses/bce_with_logits_loss.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/l1_loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/layers/losses/smooth_l1_loss.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"
#include "misuse.h"

// What trains takes any Loss, and a step that fails leaves nothing behind.
namespace gpucnn {
namespace {

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

/// 20 images of 2 x 2 pixels with 3 classes, in batches of 5.
DataLoader loader_on(Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 20; ++i) {
    for (int pixel = 0; pixel < 4; ++pixel) pixels.push_back(static_cast<std::uint8_t>(13 * i + 50 * pixel));
    labels.push_back(i % 3);
  }
  return DataLoader(TensorDataset(Tensor::from(pixels, {20, 1, 2, 2}), Tensor::from(labels, {20})).to(device), {.batch_size = 5});
}

class AnyLoss : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AnyLoss, devices(), device_name);

TEST_P(AnyLoss, TeachesByItsOwnGradient) {
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

TEST_P(AnyLoss, MayTakeLabelsThatAreNoClasses) {
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

TEST_P(AnyLoss, TrainerAndStepAgreeOnIgnoredLabelsAndSums) {
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

TEST_P(AnyLoss, ALabelToIgnoreLiesInADataset) {
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

TEST_P(AnyLoss, EvaluateCountsIgnoredLabelsAsNeitherRightNorWrong) {
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

TEST_P(AnyLoss, ALabelOutsideIsNamedByStepTrainerAndEvaluate) {
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

/// Images whose targets are their own pixels.
struct Pictures : Dataset {
  Tensor images = gpucnn::random_tensor({6, 1, 2, 2}, 3);
  std::int64_t size() const override { return 6; }
  Shape image_shape() const override { return {1, 2, 2}; }
  Batch get(std::span<const std::int64_t> indices) const override {
    std::vector<float> pixels;
    for (const std::int64_t index : indices) {
      for (const float value : values(images.narrow(index, 1))) pixels.push_back(value);
    }
    const auto count = static_cast<std::int64_t>(indices.size());
    return {Tensor::from(pixels, {count, 1, 2, 2}), Tensor::from(pixels, {count, 4})};
  }
};

TEST_P(AnyLoss, NumbersMayBeTargetsInStepAndTrainer) {
  const auto learned = [&](bool by_trainer) {
    Sequential model{Flatten(), Linear(4, 2), Linear(2, 4)};
    model.init(2).to(device());
    SGD optimizer(model.parameters(), {.lr = 0.2});
    MSELoss loss;
    DataLoader loader(Pictures{}, {.batch_size = 4, .device = device()});
    std::vector<double> losses;
    Trainer trainer(model, optimizer, loss, loader);
    TrainStep step(model, optimizer, loss);
    for (int epoch = 0; epoch < 8; ++epoch) {
      Metrics seen;
      if (by_trainer) {
        trainer.start_epoch();
        while (trainer.step()) seen += trainer.take();
        seen += trainer.finish();
      } else {
        for (const Batch& batch : loader) seen += step(batch);
      }
      EXPECT_EQ(seen.images, 6);
      EXPECT_EQ(seen.correct, 0);
      EXPECT_EQ(seen.ignored, 0);
      losses.push_back(seen.loss());
    }
    EXPECT_LT(losses.back(), 0.8 * losses.front());
    const std::vector<float> all = all_values(model);
    losses.insert(losses.end(), all.begin(), all.end());
    return losses;
  };
  EXPECT_EQ(learned(true), learned(false));
}

/// Counts the forwards that the host has made.
struct HostForwards : Module {
  mutable int count = 0;
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    ++count;
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
};

/// Three epochs of 20 images with these targets, in batches of 8, 8 and 4: the parameters, and what was seen.
std::vector<float> learned_from(const Tensor& targets, Loss& loss, bool by_trainer) {
  const Device device = targets.device();
  Sequential model{HostForwards(), Conv2d(1, 3, {.kernel_size = 1})};
  if (targets.rank() == 2) model = Sequential{HostForwards(), Flatten(), Linear(4, 3)};
  model.init(2).to(device);
  SGD optimizer(model.parameters(), {.lr = 0.2});
  const TensorDataset dataset(Tensor::randn({20, 1, 2, 2}, 3, device), targets);
  DataLoader loader(dataset, {.batch_size = 8, .shuffle = true, .crop_padding = 1, .flip = true});
  Trainer trainer(model, optimizer, loss, loader);
  TrainStep step(model, optimizer, loss);
  Metrics seen;
  for (int epoch = 0; epoch < 3; ++epoch) {
    if (by_trainer) {
      trainer.start_epoch();
      while (trainer.step()) {
      }
      seen += trainer.finish();
    } else {
      for (const Batch& batch : loader) seen += step(batch);
    }
  }
  const bool captured = by_trainer && device.kind == Device::Kind::cuda;
  EXPECT_EQ(model.at<HostForwards>("0").count, captured ? 4 : 9);
  EXPECT_EQ(seen.images, 60);
  EXPECT_EQ(seen.correct > 0, loss.takes_probabilities(targets));
  EXPECT_EQ(seen.ignored, 0);
  std::vector<float> all = all_values(model);
  all.push_back(static_cast<float>(seen.loss_sum));
  all.push_back(static_cast<float>(seen.correct));
  return all;
}

TEST_P(AnyLoss, NumbersInADatasetAreServedByACapturedStep) {
  // Each row is the probabilities of three classes.
  std::vector<float> shares;
  for (int i = 0; i < 20; ++i) {
    const float first = static_cast<float>(i % 5) / 8, second = static_cast<float>(i % 4) / 8;
    shares.insert(shares.end(), {first, second, 1 - first - second});
  }
  const Tensor rows = tensor(shares, {20, 3}), planes = random_tensor({20, 3, 2, 2}, 4);
  const auto expect_same = [](const Tensor& targets, auto&& loss) {
    EXPECT_EQ(learned_from(targets, loss, true), learned_from(targets, loss, false));
  };
  expect_same(rows, CrossEntropyLoss());
  expect_same(rows, MSELoss());
  expect_same(rows, L1Loss());
  expect_same(rows, SmoothL1Loss());
  expect_same(rows, BCEWithLogitsLoss());
  expect_same(planes, MSELoss());
}

TEST_P(AnyLoss, LabelsAreNoTargetsOfMSELoss) {
  Sequential model{Flatten(), Linear(4, 3)};
  model.init(2).to(device());
  SGD optimizer(model.parameters(), {.lr = 0.1});
  MSELoss loss;
  DataLoader loader = loader_on(device());
  Trainer trainer(model, optimizer, loss, loader);
  trainer.start_epoch();
  EXPECT_THAT([&] { trainer.step(); }, misuse("MSELoss: expects f32 targets of the input's shape [5, 3], got i32 [5]"));
}

TEST_P(AnyLoss, ALossThatThrowsLeavesNoGradient) {
  CrossEntropyLoss loss;
  const std::vector<std::int32_t> labels{0, 1};
  loss(random_tensor({2, 3}, 1), Tensor::from(labels, {2}, device()));
  EXPECT_THROW(loss(random_tensor({3, 3}, 1), Tensor::from(labels, {2}, device())), std::invalid_argument);
  EXPECT_THROW(loss.backward(), std::logic_error);
}

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

TEST_P(AnyLoss, StepsBehindOneThatFailedCountNoForward) {
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

TEST_P(AnyLoss, NoStepBehindOneThatFailedWritesToABuffer) {
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
