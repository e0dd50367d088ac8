// Updates that were recorded as a CUDA graph and are replayed, for every optimizer.
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/memory/memory_plan.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/sgd.h>

#include "device_test.h"
#include "optim/parameters.h"

namespace gpucnn {
namespace {

using Make = std::function<std::unique_ptr<Optimizer>(const std::vector<Parameter>&)>;

struct Kind {
  std::string name;
  Make make;
};

template <class Class, class Options>
Make maker(const Options& options) {
  return [=](const std::vector<Parameter>& parameters) {
    return std::make_unique<Class>(no_decay_on_biases_and_norms(parameters, options));
  };
}

std::vector<Kind> kinds() {
  const MuonOptions muon{.lr = 0.1, .adamw = {.lr = 0.1, .amsgrad = true}};
  return {{"SGD", maker<SGD>(SGDOptions{.lr = 0.1, .momentum = 0.9})},
          {"Adam", maker<Adam>(AdamOptions{.lr = 0.1})},
          {"Amsgrad", maker<AdamW>(AdamWOptions{.lr = 0.1, .betas = {0.5, 0.5}, .amsgrad = true})},
          {"RMSprop", maker<RMSprop>(RMSpropOptions{.lr = 0.1, .eps = 0.1})},
          {"RMSpropMomentum", maker<RMSprop>(RMSpropOptions{.lr = 0.1, .eps = 0.1, .momentum = 0.5, .centered = true})},
          {"Muon", maker<Muon>(muon)}};
}

class CapturedUpdate : public DeviceTest {
 protected:
  /// Parameters, and their optimizer behind one step.
  struct Run {
    explicit Run(const Make& make)
        : parameters(packed({{4, 6}, {4}, {20, 3}, {2, 2, 3, 3}}, Device::cuda())), optimizer(make(parameters)) {
      set_grads(0);
      optimizer->step();
    }
    void set_grads(unsigned seed) {
      for (Parameter& parameter : parameters) set_grad(parameter, seed);
    }
    std::vector<std::vector<float>> state() const {
      std::vector<std::vector<float>> all;
      for (const Parameter& parameter : parameters) all.push_back(values(parameter));
      for (const auto& [name, tensor] : optimizer->state_dict()) {
        if (tensor.dtype() == DType::f32) all.push_back(tensor.to_vector<float>());
      }
      return all;
    }
    void change(int at) const {
      for (std::size_t group = 0; group < optimizer->groups(); ++group) {
        optimizer->set_lr(group, 0.1 / (at + 1 + static_cast<int>(group)));
        if (optimizer->has_momentum()) optimizer->set_momentum(group, 0.9 - 0.1 * at);
      }
    }
    std::vector<Parameter> parameters;
    std::unique_ptr<Optimizer> optimizer;
  };

  static StepState state_of(const Optimizer& optimizer, std::int64_t updates) {
    StepState now{.updates = updates};
    for (std::size_t group = 0; group < optimizer.groups(); ++group) {
      now.lr[group] = optimizer.lr(group);
      if (optimizer.has_momentum()) now.momentum[group] = optimizer.momentum(group);
    }
    return now;
  }

  /// Records an update, replays it next to plain ones, and again behind a failure.
  static void follow(const Make& make) {
    Run replayed(make), plain(make);
    Tensor memory = Tensor::zeros({std::int64_t{sizeof(StepState)}}, DType::u8, Device::cuda());
    const auto set_state = [&](const StepState& state) {
      std::vector<std::uint8_t> bytes(sizeof state);
      std::memcpy(bytes.data(), &state, sizeof state);
      memory.copy_from(Tensor::from(bytes, memory.shape()));
    };
    const std::vector<std::vector<float>> before = replayed.state();
    MemoryPlan plan(Device::cuda());
    std::unique_ptr<gpu::Graph> update;
    {
      gpu::Capture capture(Device::cuda(), reinterpret_cast<const StepState*>(memory.bytes()));
      const MemoryPlan::Open open(plan);
      replayed.optimizer->step();
      update = capture.finish();
      EXPECT_FALSE(capture.refused());
    }
    EXPECT_EQ(replayed.state(), before) << "recorded, not run";
    for (int at = 0; at < 4; ++at) {
      SCOPED_TRACE(at);
      for (Run* run : {&replayed, &plain}) {
        run->set_grads(static_cast<unsigned>(at) + 1);
        run->change(at);
      }
      set_state(state_of(*replayed.optimizer, at));
      update->launch();
      plain.optimizer->step();
      EXPECT_EQ(replayed.state(), plain.state());
    }
    StepState failed = state_of(*replayed.optimizer, 4);
    failed.failed = 1;
    set_state(failed);
    replayed.set_grads(9);
    update->launch();
    EXPECT_EQ(replayed.state(), plain.state()) << "a step behind a loss that was not finite";
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, CapturedUpdate, testing::Values(Device::cuda()), device_name);

TEST_P(CapturedUpdate, FollowsRateMomentumAndStepsAndWritesNothingBehindAFailure) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    follow(kind.make);
  }
}

}  // namespace
}  // namespace gpucnn
