// Networks in bf16 and tf32 against the same in fp32.
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/kernels/norm/fold_norm.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/trainer.h>

#include "device_test.h"
#include "everywhere.h"
#include "layers/layers.h"
#include "pretended_bf16.h"

namespace gpucnn {
namespace {

/// Notes in which dtype it met its input and its gradient.
class Probe : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    forward_dtype = x.dtype();
    return x;
  }
  Tensor gradients(const Tensor& dy, Context&) override {
    backward_dtype = dy.dtype();
    return dy;
  }
  mutable DType forward_dtype = DType::u8;
  DType backward_dtype = DType::u8;
};

Sequential network() {
  return Sequential{Conv2d(3, 8, {.kernel_size = 3, .padding = 1}),
                    ReLU(),
                    MaxPool2d(2),
                    Conv2d(8, 12, {.kernel_size = 3, .stride = 2}),
                    ReLU(),
                    Probe(),
                    Flatten(),
                    Linear(12 * 3 * 3, 24),
                    ReLU(),
                    Dropout(0.25),
                    Linear(24, 5)};
}

/// The same without layers that choose.
Sequential smooth_network() {
  return Sequential{Conv2d(3, 8, {.kernel_size = 3, .padding = 1}), Conv2d(8, 12, {.kernel_size = 3, .stride = 2}), Flatten(),
                    Linear(12 * 6 * 6, 24), Linear(24, 5)};
}

/// What one pass gives.
struct Pass {
  std::vector<float> predicted, logits, grads, dx;
  double loss = 0;
};

class PrecisionOfNetworks : public DeviceTest {
 protected:
  const PretendedBf16 there_;

  Pass pass(Sequential model, Precision precision) {
    model.init(2).to(device()).set_precision(precision).set_input_grad(true);
    const Tensor x = random_tensor({6, 3, 14, 14}, 1).to(device());
    Pass pass;
    pass.predicted = values(model.predict(x));
    CrossEntropyLoss criterion;
    const Tensor logits = model(x);
    pass.logits = values(logits);
    pass.loss = static_cast<double>(criterion(logits, Tensor::from(std::vector{0, 1, 2, 3, 4, 0}, {6}, device())).item());
    pass.dx = values(model.backward(criterion.backward()));
    pass.grads = all_grads(model);
    return pass;
  }

  /// |a - b| / |b|: single elements may differ by more, where a rounding lets another element win a maximum or pass a ReLU.
  static double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double apart = 0, length = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      apart += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
      length += std::pow(static_cast<double>(b[i]), 2);
    }
    return std::sqrt(apart / length);
  }

  static void expect_near(const Pass& pass, const Pass& expected, double bound) {
    EXPECT_LT(distance(pass.predicted, expected.predicted), bound);
    EXPECT_LT(distance(pass.logits, expected.logits), bound);
    EXPECT_LT(distance(pass.grads, expected.grads), bound);
    EXPECT_LT(distance(pass.dx, expected.dx), bound);
    EXPECT_NEAR(pass.loss, expected.loss, bound * expected.loss);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, PrecisionOfNetworks, devices(), device_name);

TEST_P(PrecisionOfNetworks, Bf16IsNearFp32AndNotTheSame) {
  const Pass exact = pass(network(), Precision::fp32), rounded = pass(network(), Precision::bf16);
  expect_near(rounded, exact, 0.15);
  expect_near(pass(smooth_network(), Precision::bf16), pass(smooth_network(), Precision::fp32), 0.01);
  EXPECT_NE(rounded.logits, exact.logits);
  EXPECT_NE(rounded.grads, exact.grads);
}

TEST_P(PrecisionOfNetworks, Tf32IsNearFp32) {
  if (device() == Device::cpu()) GTEST_SKIP() << "tf32 is a GPU's";
  expect_near(pass(network(), Precision::tf32), pass(network(), Precision::fp32), 0.02);
  expect_near(pass(smooth_network(), Precision::tf32), pass(smooth_network(), Precision::fp32), 0.005);
}

TEST_P(PrecisionOfNetworks, Bf16IsInsideOnly) {
  Sequential model = network();
  model.to(device()).set_precision(Precision::bf16);
  EXPECT_EQ(model.precision(), Precision::bf16);
  const Tensor logits = model(random_tensor({2, 3, 14, 14}, 1).to(device()));
  EXPECT_EQ(logits.dtype(), DType::f32);
  model.backward(random_tensor({2, 5}, 2).to(device()));
  const DType inside = device() == Device::cpu() ? DType::f32 : DType::bf16;
  EXPECT_EQ(model.at<Probe>("5").forward_dtype, inside);
  EXPECT_EQ(model.at<Probe>("5").backward_dtype, inside);
  for (const Parameter& parameter : model.parameters()) {
    EXPECT_EQ(parameter.value().dtype(), DType::f32);
    EXPECT_EQ(parameter.grad().dtype(), DType::f32);
  }
}

TEST_P(PrecisionOfNetworks, Bf16SeesParametersThatWereWrittenTo) {
  Sequential model = network();
  model.to(device()).set_precision(Precision::bf16);
  const Tensor x = random_tensor({2, 3, 14, 14}, 1).to(device());
  const std::vector<float> before = values(model.predict(x));
  for (Parameter& parameter : model.at<Linear>("10").parameters()) parameter.set_value(Tensor::full(parameter.shape(), 0.5F));
  EXPECT_NE(values(model.predict(x)), before);
  model.set_precision(Precision::fp32);
  EXPECT_EQ(model.predict(x).dtype(), DType::f32);
}

TEST_P(PrecisionOfNetworks, Bf16LearnsWhatFp32Learns) {
  const auto losses = [&](Precision precision) {
    Sequential model = network();
    model.init(2).to(device()).set_precision(precision);
    Adam optimizer(model.parameters(), {.lr = 3e-3});
    std::vector<std::int32_t> labels;
    for (int i = 0; i < 30; ++i) labels.push_back(i % 5);
    DataLoader loader(TensorDataset{random_tensor({30, 3, 14, 14}, 4), Tensor::from(labels, {30})}.to(device()),
                      {.batch_size = 12, .shuffle = true});
    Trainer trainer(model, optimizer, loader);
    std::vector<double> all;
    for (int epoch = 0; epoch < 12; ++epoch) {
      trainer.start_epoch();
      while (trainer.step()) {
      }
      all.push_back(trainer.finish().loss());
    }
    return all;
  };
  const std::vector<double> exact = losses(Precision::fp32), rounded = losses(Precision::bf16);
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], 0.1) << i;
  EXPECT_LT(rounded.back(), 0.8 * rounded.front());
}

TEST_P(PrecisionOfNetworks, MayChangeWhileATrainerRecordsSteps) {
  const auto learn = [&](bool twice) {
    Sequential model = network();
    model.init(2).to(device()).set_precision(Precision::bf16);
    Adam optimizer(model.parameters());
    DataLoader loader(TensorDataset{random_tensor({16, 3, 14, 14}, 4), Tensor::zeros({16}, DType::i32)}.to(device()),
                      {.batch_size = 4});
    Trainer trainer(model, optimizer, loader);
    std::vector<Tensor> held;
    const Shape as_large{model.parameters()[0].slot().values.numel() / 2};  // as the copies in bf16
    for (int epoch = 0; epoch < 3; ++epoch) {
      trainer.start_epoch();
      while (trainer.step()) {
      }
      trainer.finish();
      if (twice) model.set_precision(Precision::fp32).set_precision(Precision::bf16);
      // Whatever takes the memory that the model has let go must keep its values.
      for (int i = 0; i < 4 && twice; ++i) held.push_back(Tensor::full(as_large, 3, device()));
    }
    for (const Tensor& tensor : held) EXPECT_THAT(tensor.to_vector<float>(), testing::Each(3.0F));
    return all_values(model);
  };
  EXPECT_EQ(learn(true), learn(false));
}

// ---- on the CPU -----------------------------------------------------------------------------------------------------------------

Tensor in_bf16(const Tensor& x) { return kernels::cpu::rounded_to_bf16(x); }

struct Layers {
  const char* name;
  Shape x;
  Sequential (*make)();
};

/// One multiplication each, but for those that are one kernel: what is between two is rounded, too.
const Layers kLayers[] = {
    {"3x3", {3, 5, 9, 7}, [] { return Sequential{Conv2d(5, 7, {.kernel_size = 3, .padding = 1})}; }},
    {"3x3 by Winograd", {3, 16, 9, 7}, [] { return Sequential{Conv2d(16, 17, {.kernel_size = 3, .padding = 1})}; }},
    {"5x5 by Winograd",
     {3, 17, 9, 7},
     [] {
       return Sequential{Conv2d(17, 16, {.kernel_size = 5, .padding = 2}), ReLU()};
     }},
    {"stride", {3, 5, 9, 7}, [] { return Sequential{Conv2d(5, 7, {.kernel_size = 3, .stride = 2, .bias = false})}; }},
    {"pointwise", {3, 33, 5, 7}, [] { return Sequential{Conv2d(33, 18, {.kernel_size = 1})}; }},
    {"groups", {3, 6, 9, 7}, [] { return Sequential{Conv2d(6, 9, {.kernel_size = 3, .groups = 3})}; }},
    {"depthwise", {3, 18, 9, 7}, [] { return Sequential{Conv2d(18, 18, {.kernel_size = 3, .padding = 1, .groups = 18})}; }},
    {"pooled",
     {3, 3, 9, 7},
     [] {
       return Sequential{Conv2d(3, 17, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2)};
     }},
    {"pooled, flat",
     {3, 9, 9, 7},
     [] {
       return Sequential{Conv2d(9, 5, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2), Flatten()};
     }},
    {"linear", {3, 37}, [] { return Sequential{Linear(37, 21)}; }},
    {"linear, ReLU, dropout",
     {70, 300},
     [] {
       return Sequential{Linear(300, 129), ReLU(), Dropout(0.5)};  // scales by 2
     }},
};

/// What a step gives: y, the gradients, dx, and what a prediction gives.
std::vector<float> step(Sequential& model, const Tensor& x, const Tensor& dy) {
  std::vector<float> all = values(model(x));
  const std::vector<float> dx = values(model.backward(dy)), grads = all_grads(model), predicted = values(model.predict(x));
  for (const std::vector<float>* more : {&dx, &grads, &predicted}) all.insert(all.end(), more->begin(), more->end());
  return all;
}

TEST(PrecisionOnTheCpu, InBf16IsThatOfFp32WithRoundedFactors) {
  const PretendedBf16 there;
  for (const Layers& layers : kLayers) {
    SCOPED_TRACE(layers.name);
    const Tensor x = random_tensor(layers.x, 1), dy = random_tensor(layers.make().output_shape(layers.x), 2);
    everywhere(Device::cpu(), [&] {
      Sequential rounds = layers.make(), rounded = layers.make();
      rounds.init(3).set_precision(Precision::bf16).set_input_grad(true);
      rounded.init(3).set_input_grad(true);
      for (Parameter& parameter : rounded.parameters()) parameter.set_value(in_bf16(parameter.value()));
      const std::vector<float> actual = step(rounds, x, dy);
      EXPECT_EQ(actual, step(rounded, in_bf16(x), in_bf16(dy)));
      rounds.set_precision(Precision::fp32);
      EXPECT_NE(actual, step(rounds, x, dy));
      return actual;
    });
  }
}

TEST(PrecisionOnTheCpu, InBf16FoldedWeightsAreRoundedOnce) {
  const PretendedBf16 there;
  const Tensor x = random_tensor({3, 5, 9, 7}, 1);
  Sequential model{Conv2d(5, 7, {.kernel_size = 3, .padding = 1}), BatchNorm2d(7), ReLU()};
  model.init(3);
  for (int i = 0; i < 3; ++i) model(random_tensor({4, 5, 9, 7}, 10U + static_cast<unsigned>(i)));
  model.set_precision(Precision::bf16);
  Sequential folded{Conv2d(5, 7, {.kernel_size = 3, .padding = 1}), ReLU()};
  const auto& norm = model.at<BatchNorm2d>("1");
  const StateDict state = model.state_dict();
  Tensor weight = Tensor::empty({7, 5, 3, 3}), bias = Tensor::empty({7});
  Stream stream(Device::cpu());
  kernels::fold_norm(state.at("0.weight"), state.at("0.bias"), norm.fixed(), weight, bias, stream);
  folded.parameters()[0].set_value(in_bf16(weight));
  folded.parameters()[1].set_value(in_bf16(bias));
  EXPECT_EQ(values(model.predict(x)), values(folded.predict(in_bf16(x))));
}

TEST(PrecisionOnTheCpu, InBf16ATrainingHasTheSameBitsOnAnyNumberOfThreads) {
  const PretendedBf16 there;
  everywhere(Device::cpu(), [] {
    Sequential model = network();
    model.init(2).set_precision(Precision::bf16);
    Adam optimizer(model.parameters(), {.lr = 3e-3});
    DataLoader loader(TensorDataset{random_tensor({16, 3, 14, 14}, 4), Tensor::zeros({16}, DType::i32)}, {.batch_size = 5});
    Trainer trainer(model, optimizer, loader);
    trainer.start_epoch();
    while (trainer.step()) {
    }
    trainer.finish();
    return all_values(model);
  });
}

TEST(PrecisionOnTheCpu, IsFp32WhereNothingElseCanBe) {
  const PretendedBf16 none(false);
  Sequential model = network();
  EXPECT_THROW(model.set_precision(Precision::bf16), DeviceError);
  EXPECT_THROW(model.set_precision(Precision::tf32), DeviceError);
  EXPECT_EQ(model.precision(), Precision::fp32);
}

}  // namespace
}  // namespace gpucnn
