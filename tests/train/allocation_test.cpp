// A step that was made before allocates nothing, but for what oneDNN, where it serves a layer, allocates while it executes a
// primitive.
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>

#include "everywhere.h"
#include "layers/layers.h"
#include "pretended_bf16.h"
#include "train/allocations.h"
#include "train/drawn_network.h"
#include "train/layer_makers.h"

namespace gpucnn {
namespace {

struct Counts {
  Allocations allocations;
  std::uint64_t system_allocations;
};

/// What 5 calls allocate after 3 others.
template <class Call>
Counts in_steady_state(const Call& call) {
  for (int i = 0; i < 3; ++i) call();
  const std::uint64_t asked = allocator_stats(Device::cpu()).system_allocations;
  take_allocations();
  for (int i = 0; i < 5; ++i) call();
  return {take_allocations(), allocator_stats(Device::cpu()).system_allocations - asked};
}

void expect_none(const Counts& counts) {
  EXPECT_EQ(counts.allocations.ours, 0);
  EXPECT_EQ(counts.system_allocations, 0U);
  EXPECT_LT(counts.allocations.largest, 4096U);
}

Batch batch_of(std::int64_t size, const Shape& image) {
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(size), 1);
  return {random_tensor(image.with(0, size), 1), Tensor::from(labels, {size})};
}

class SteadyState : public testing::TestWithParam<int> {
 protected:
  const ForcedThreads threads{GetParam()};
  const Batch batch = batch_of(32, {0, 3, 32, 32}), last = batch_of(33, {0, 3, 32, 32});
};
INSTANTIATE_TEST_SUITE_P(Threads, SteadyState, testing::Values(1, 2), testing::PrintToStringParamName());

TEST_P(SteadyState, ATrainingStepAllocatesNothing) {
  SimpleCNN model;
  Adam optimizer(model.parameters());
  CrossEntropyLoss criterion;
  const Counts counts = in_steady_state([&] {
    for (const Batch& each : {batch, last}) {
      optimizer.zero_grad();
      const Tensor loss = criterion(model(each.inputs), each.labels);
      model.backward(criterion.backward());
      optimizer.step();
      EXPECT_GT(loss.item(), 0);
    }
  });
  expect_none(counts);
  EXPECT_EQ(counts.allocations.onednns, 0) << "a layer has no kernel of ours";
}

TEST_P(SteadyState, InBf16ATrainingStepAndAPredictionAllocateNothing) {
  const PretendedBf16 there;
  Sequential model{Conv2d(3, 16, {.kernel_size = 3, .padding = 1}),  BatchNorm2d(16), ReLU(),
                   Conv2d(16, 16, {.kernel_size = 3, .padding = 1}), ReLU(),          MaxPool2d(2),
                   Conv2d(16, 4, {.kernel_size = 3, .stride = 2}),   Flatten(),       Linear(4 * 7 * 7, 3)};
  model.set_precision(Precision::bf16);
  Adam optimizer(model.parameters());
  CrossEntropyLoss criterion;
  expect_none(in_steady_state([&] {
    for (const Batch& each : {batch, last}) {
      optimizer.zero_grad();
      criterion(model(each.inputs), each.labels);
      model.backward(criterion.backward());
      optimizer.step();
      model.predict(each.inputs);
    }
  }));
}

TEST_P(SteadyState, UpdatesAllocateNothing) {
  SimpleCNN model;
  CrossEntropyLoss criterion;
  criterion(model(batch.inputs), batch.labels);
  model.backward(criterion.backward());
  Adam amsgrad(model.parameters(), {.lr = 1e-5, .amsgrad = true});
  RMSprop rmsprop(model.parameters(), {.lr = 1e-5, .momentum = 0.9, .centered = true});
  Muon muon(model.parameters(), {.lr = 1e-5});
  for (Optimizer* optimizer :
       {static_cast<Optimizer*>(&amsgrad), static_cast<Optimizer*>(&rmsprop), static_cast<Optimizer*>(&muon)}) {
    expect_none(in_steady_state([&] { optimizer->step(); }));
  }
}

TEST_P(SteadyState, AConvolutionThatOneDnnServesAllocatesNothingOutsideIt) {
  const Conv2dOptions grouped{.kernel_size = 3, .padding = 1, .groups = 2};
  Sequential model{Conv2d(3, 4, {.kernel_size = 5, .stride = 2}), Conv2d(4, 4, grouped), ReLU(), Flatten(), Linear(4 * 14 * 14, 3)};
  Adam optimizer(model.parameters());
  CrossEntropyLoss criterion;
  const Counts counts = in_steady_state([&] {
    optimizer.zero_grad();
    criterion(model(batch.inputs), batch.labels);
    model.backward(criterion.backward());
    optimizer.step();
  });
  expect_none(counts);
  const bool serves = kernels::cpu::faster_by_onednn({2, 4, 14, 14}, {2, 4, 14, 14}, grouped) != nullptr;
  EXPECT_EQ(counts.allocations.onednns > 0, serves) << "oneDNN was not watched";
}

TEST_P(SteadyState, LayersWithoutWeightsAllocateNothing) {
  Sequential model{GELU(),    GELU("tanh"), SiLU(),      Hardswish(), Sigmoid(), Tanh(),
                   Softmax(), Upsample(2),  Dropout2d(), Identity(),  Flatten(), Linear(3 * 64 * 64, 3)};
  model.set_input_grad(true);
  SGD optimizer(model.parameters(), {.lr = 1e-3});
  CrossEntropyLoss criterion;
  expect_none(in_steady_state([&] {
    optimizer.zero_grad();
    criterion(model(batch.inputs), batch.labels);
    model.backward(criterion.backward());
    optimizer.step();
  }));
}

TEST_P(SteadyState, PredictAndEvaluateAllocateNothing) {
  SimpleCNN model;
  expect_none(in_steady_state([&] {
    for (const Batch& each : {batch, last}) {
      model.predict(each.inputs);
      evaluate(model, each);
    }
  }));
}

TEST_P(SteadyState, AddedGradientsModesAndTrainStepAllocateNothing) {
  SimpleCNN model;
  SGD optimizer(model.parameters(), {.lr = 1e-3, .momentum = 0.9});
  CrossEntropyLoss criterion;
  TrainStep step(model, optimizer);
  expect_none(in_steady_state([&] {
    model.train().zero_grad();
    for (int i = 0; i < 2; ++i) {
      criterion(model(batch.inputs), batch.labels);
      model.backward(criterion.backward());
    }
    model.eval();
    step(last);
  }));
}

TEST_P(SteadyState, ClippingAndAnAverageAllocateNothing) {
  SimpleCNN model;
  Adam optimizer(model.parameters());
  ExponentialMovingAverage ema(model);
  TrainStep step(model, optimizer, {.clip_grad_value = 1, .clip_grad_norm = 0.1, .ema = &ema});
  expect_none(in_steady_state([&] {
    step(batch);
    step(last);
  }));
}

TEST_P(SteadyState, ATrainingStepOfAnyLayersAllocatesNothing) {
  std::vector<int> counts(layer_makers().size());
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    DrawnNetwork network(seed, {.num_classes = 4});
    SCOPED_TRACE(network.model->summary(network.x));
    SGD optimizer(network.model->parameters(), {.lr = 1e-4, .momentum = 0.9});
    TrainStep step(*network.model, optimizer);
    const Batch one = batch_of(2, network.x), more = batch_of(5, network.x);
    const Counts seen = in_steady_state([&] {
      step(one);
      step(more);
    });
    EXPECT_EQ(seen.allocations.ours, 0);
    EXPECT_EQ(seen.system_allocations, 0U);
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += network.counts[i];
  }
  for (std::size_t i = 0; i < counts.size(); ++i) EXPECT_GT(counts[i], 0) << layer_makers()[i].name;
}

TEST_P(SteadyState, ALayerOfAUsersOwnAllocatesNothing) {
  Sequential model{Flatten(), Linear(12, 6), Added<Sequential>(Sequential{Scale(6), Linear(6, 6)}), Linear(6, 3)};
  Adam optimizer(model.parameters());
  CrossEntropyLoss criterion;
  const Batch small = batch_of(33, {0, 3, 2, 2});
  expect_none(in_steady_state([&] {
    optimizer.zero_grad();
    criterion(model(small.inputs), small.labels);
    model.backward(criterion.backward());
    optimizer.step();
  }));
}

TEST(SteadyStateItself, WouldSeeAnAllocation) {
  const Counts counts = in_steady_state([] {
    empty_cache(Device::cpu());
    const std::vector<float> large(5000, 1.0F);
    const Tensor block = Tensor::from(large, {5000});
  });
  EXPECT_EQ(counts.allocations.ours, 10);  // and the allocator's own record of its block
  EXPECT_GE(counts.allocations.largest, 20000U);
  EXPECT_EQ(counts.system_allocations, 5U);
}

}  // namespace
}  // namespace gpucnn
