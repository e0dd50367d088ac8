#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/io/safetensors.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/exponential_moving_average.h>

#include "device_test.h"
#include "io/temporary_folder.h"
#include "layers/layers.h"

// Layers keep what they made of their parameters, such as packed weights. A prediction must follow every change of these.
namespace gpucnn {
namespace {

/// Of every layer that keeps something: a convolution with its pooling, Winograd's, one with a norm folded into it, a depthwise
/// one, one of oneDNN, a linear layer.
Sequential network() {
  return Sequential{Conv2d(3, 16, {.kernel_size = 3, .padding = 1}),
                    ReLU(),
                    MaxPool2d(2),
                    Conv2d(16, 16, {.kernel_size = 3, .padding = 1}),
                    BatchNorm2d(16),
                    ReLU(),
                    ResidualBlock{Conv2d(16, 16, {.kernel_size = 3, .padding = 1, .bias = false}), BatchNorm2d(16)},
                    Conv2d(16, 16, {.kernel_size = 3, .padding = 1, .groups = 16}),
                    ReLU(),
                    Conv2d(16, 20, {.kernel_size = 3, .padding = 1}),
                    Conv2d(20, 8, {.kernel_size = 3, .stride = 2}),
                    Flatten(),
                    Linear(72, 4)};
}

const Shape kImages{2, 3, 16, 16};

void step(Sequential& model, Optimizer& optimizer) {
  CrossEntropyLoss loss;
  optimizer.zero_grad();
  loss(model(random_tensor(kImages, 5)), Tensor::from(std::vector<std::int32_t>{1, 3}, {2}));
  model.backward(loss.backward());
  optimizer.step();
}

template <class O>
void step_by(Sequential& model) {
  O optimizer(model.parameters());
  step(model, optimizer);
}

/// Expects what a copy without anything kept predicts, and not what the model predicted `before`. Returns it.
std::vector<float> expect_follows(const Sequential& model, const std::vector<float>& before) {
  const Tensor x = random_tensor(kImages, 2);
  const auto after = values(model.predict(x));
  EXPECT_EQ(after, values(model.clone<Sequential>().predict(x)));
  EXPECT_NE(after, before);
  return after;
}

struct Change {
  std::string name;
  std::function<void(Sequential& model)> apply;
};

/// Every way to change parameters and buffers.
std::vector<Change> changes() {
  return {
      {"Adam", step_by<Adam>},
      {"SGD",
       [](Sequential& model) {
         SGD optimizer(model.parameters(), {.lr = 0.1});
         step(model, optimizer);
       }},
      {"RMSprop", step_by<RMSprop>},
      {"Muon", step_by<Muon>},
      {"init", [](Sequential& model) { model.init(7); }},
      {"load_state_dict", [](Sequential& model) { model.load_state_dict(network().init(8).state_dict()); }},
      {"set_value",
       [](Sequential& model) {
         for (Parameter& parameter : model.parameters()) parameter.set_value(random_tensor(parameter.shape(), 3));
       }},
      {"copy_from",
       [](Sequential& model) {
         model.state_dict().begin()->second.narrow(0, 1).copy_from(Tensor::zeros({1, 3, 3, 3}));
       }},
      {"a kernel's output",
       [](Sequential& model) {
         for (Parameter& parameter : model.parameters()) {
           Tensor value = parameter.value();
           Stream stream{Device::cpu()};
           kernels::add(value, value, value, stream);
         }
       }},
      {"statistics", [](Sequential& model) { model(random_tensor(kImages, 4)); }},
      {"a buffer's copy_from",
       [](Sequential& model) {
         for (Tensor& buffer : model.buffers()) {
           if (buffer.dtype() == DType::f32) buffer.copy_from(Tensor::full(buffer.shape(), 2));
         }
       }},
      {"a frozen body",
       [](Sequential& model) {
         model.at("0").freeze();
         step_by<Adam>(model);
       }},
      {"another layer",
       [](Sequential& model) {
         Conv2d other(16, 16, {.kernel_size = 3, .padding = 1});
         other.weight().set_init(Init::uniform(1));
         model.at<Conv2d>("3") = std::move(other);
       }},
  };
}

TEST(ChangedWeights, AreWhatPredictComputesWith) {
  for (const Change& change : changes()) {
    SCOPED_TRACE(change.name);
    Sequential model = network();
    auto before = values(model.init(1).predict(random_tensor(kImages, 2)));
    change.apply(model);
    before = expect_follows(model, before);
    step_by<Adam>(model);
    expect_follows(model, before);
  }
}

TEST(ChangedWeights, CountWhenWrittenThroughAPointerThatWasKept) {
  Sequential model = network();
  model.init(1);
  for (Parameter& parameter : model.parameters()) {
    SCOPED_TRACE(parameter.name());
    float* const kept = parameter.value().data<float>();
    auto before = values(model.predict(random_tensor(kImages, 2)));
    for (int i = 0; i < 2; ++i) {
      kept[0] += 0.5F;
      before = expect_follows(model, before);
    }
    Tensor value = parameter.value();
    value.copy_from(value.clone());  // a write that is seen must not hide those that are not
    model.predict(random_tensor(kImages, 2));
    kept[0] += 0.5F;
    expect_follows(model, before);
  }
}

TEST(ChangedWeights, AreThoseOfAnAverageWhileItIsApplied) {
  Sequential model = network();
  model.init(1);
  ExponentialMovingAverage ema(model, {.decay = 0.5});
  for (int i = 0; i < 2; ++i) {
    step_by<Adam>(model);
    ema.update();
  }
  const auto own = values(model.predict(random_tensor(kImages, 2)));
  {
    const ExponentialMovingAverage::Applied averaged(ema);
    expect_follows(model, own);
  }
  EXPECT_EQ(values(model.predict(random_tensor(kImages, 2))), own);
}

TEST(ChangedWeights, OfACopyAreNotThoseOfTheModel) {
  Sequential model = network();
  const auto before = values(model.init(1).predict(random_tensor(kImages, 2)));
  auto copy = model.clone<Sequential>();
  EXPECT_EQ(values(copy.predict(random_tensor(kImages, 2))), before);
  step_by<Adam>(copy);
  expect_follows(copy, before);
  EXPECT_EQ(values(model.predict(random_tensor(kImages, 2))), before);
}

TEST(ChangedWeights, AreSeenByEveryThreadThatPredicts) {
  Sequential model = network();
  auto before = values(model.init(1).predict(random_tensor(kImages, 2)));
  for (int i = 0; i < 20; ++i) {
    step_by<Adam>(model);
    std::vector<std::vector<float>> found(4);
    std::vector<std::thread> threads;
    for (auto& values_found : found) {
      threads.emplace_back([&] { values_found = values(model.predict(random_tensor(kImages, 2))); });
    }
    for (std::thread& thread : threads) thread.join();
    before = expect_follows(model, before);
    for (const auto& values_found : found) EXPECT_EQ(values_found, before);
  }
}

/// Else each prediction would compare them all.
TEST(ChangedWeights, HaveAVersionThatIsKnownWhateverTheLibraryDoes) {
  const testing::TemporaryFolder folder;
  const auto all_known = [](Sequential& model) {
    for (const auto& [name, tensor] : model.state_dict()) {
      if (tensor.dtype() == DType::f32) {
        EXPECT_NE(tensor.version(), 0U) << name;
      }
    }
  };
  for (const Change& change : changes()) {
    if (change.name == "a kernel's output") continue;
    SCOPED_TRACE(change.name);
    Sequential model = network();
    model.init(1).predict(random_tensor(kImages, 2));
    ExponentialMovingAverage ema(model, {.decay = 0.5});
    change.apply(model);
    if (change.name != "another layer") ema.update();
    model.predict(random_tensor(kImages, 2));
    save_safetensors(folder / "state.safetensors", model.state_dict());
    model.load_state_dict(load_safetensors(folder / "state.safetensors").first);
    all_known(model);
  }
}

}  // namespace
}  // namespace gpucnn
