// A step that was made before allocates nothing, but for what oneDNN allocates while it executes a primitive.
#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/allocator.h>
#include <gpucnn/layers/cross_entropy_loss.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/sequential.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>

#include "everywhere.h"
#include "layers/layers.h"

namespace {

std::atomic<std::int64_t> ours{0};     // calls of operator new outside of oneDNN's execute, on all threads
std::atomic<std::int64_t> onednns{0};  // and within
std::atomic<std::size_t> largest{0};   // bytes, of either
thread_local bool in_onednn = false;

void* counted(std::size_t bytes, std::size_t alignment) {
  ++(in_onednn ? onednns : ours);
  for (std::size_t before = largest; before < bytes && !largest.compare_exchange_weak(before, bytes);) continue;
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes ? bytes : 1) == 0) return memory;
  throw std::bad_alloc();
}

}  // namespace

// Every allocation of this test program, oneDNN's included, comes through here.
void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return counted(bytes, static_cast<std::size_t>(alignment)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

// Stands before oneDNN's function of this name, which it calls.
extern "C" int dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* arguments) {
  using Execute = int (*)(const void*, void*, int, const void*);
  static const auto execute = reinterpret_cast<Execute>(dlsym(RTLD_NEXT, "dnnl_primitive_execute"));
  in_onednn = true;
  const int status = execute(primitive, stream, count, arguments);
  in_onednn = false;
  return status;
}

namespace gpucnn {
namespace {

struct Counts {
  std::int64_t ours, onednns;
  std::size_t largest;
  std::uint64_t system_allocations;
};

/// What 5 calls allocate after 3 others.
template <class Call>
Counts in_steady_state(const Call& call) {
  for (int i = 0; i < 3; ++i) call();
  const std::uint64_t asked = allocator_stats(Device::cpu()).system_allocations;
  ours = onednns = 0;
  largest = 0;
  for (int i = 0; i < 5; ++i) call();
  return {ours, onednns, largest, allocator_stats(Device::cpu()).system_allocations - asked};
}

void expect_none(const Counts& counts) {
  EXPECT_EQ(counts.ours, 0);
  EXPECT_EQ(counts.system_allocations, 0U);
  EXPECT_LT(counts.largest, 4096U);
  EXPECT_GT(counts.onednns, 0) << "oneDNN was not watched";
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
  expect_none(in_steady_state([&] {
    for (const Batch& each : {batch, last}) {
      optimizer.zero_grad();
      const Tensor loss = criterion(model(each.inputs), each.labels);
      model.backward(criterion.backward());
      optimizer.step();
      EXPECT_GT(loss.item(), 0);
    }
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

TEST_P(SteadyState, ALayerOfAUsersOwnAllocatesNothing) {
  Sequential model{Flatten(), Linear(12, 6), Residual<Sequential>(Sequential{Scale(6), Linear(6, 6)}), Linear(6, 3)};
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
  EXPECT_EQ(counts.ours, 10);  // and the allocator's own record of its block
  EXPECT_GE(counts.largest, 20000U);
  EXPECT_EQ(counts.system_allocations, 5U);
}

}  // namespace
}  // namespace gpucnn
