#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/memory/memory_plan.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>

namespace gpucnn {

/// A training step for batches of one size, or several behind one another: recorded once, then replayed.
class CapturedStep {
 public:
  /// `at_once`: how many steps, of `images` images each.
  CapturedStep(std::int64_t images, std::int64_t at_once) : images_(images), at_once_(at_once) {}

  std::int64_t images() const noexcept { return images_; }
  std::int64_t at_once() const noexcept { return at_once_; }
  /// Of its memory.
  std::uint64_t bytes() const { return memory_ ? memory_->bytes() : 0; }
  bool is_captured() const noexcept { return graph_ != nullptr; }
  bool counts_forward() const noexcept { return counts_forward_; }
  /// The optimizer's updates when it was captured.
  std::int64_t steps_before() const noexcept { return steps_before_; }

  /// Whether a step of this size ran call by call, so that every plan is made.
  bool warm = false;

  /// The memory that a capture of this step draws from, empty.
  MemoryPlan& new_memory(Device device) { return memory_.emplace(device); }
  /// What `record` queued is this step from now on; model and optimizer are as after it.
  void keep(std::unique_ptr<gpu::Graph> graph, Module& model, const Optimizer& optimizer, std::int64_t steps_before,
            bool counts_forward);
  /// Forgets what was recorded.
  void drop();

  /// Whether the model computes as it did, with its parameters where the graph has them, the same ones frozen, and every module in
  /// the same mode.
  bool holds(Module& model) const;
  /// What the recorded calls of one step did on the host, without them: counts the forward and the update, and marks the gradients.
  void count(Module& model, Optimizer& optimizer) const;
  /// Queues a replay.
  void launch() const { graph_->launch(); }

 private:
  std::int64_t images_, at_once_;
  Module::ParameterMemory parameters_;  // held, because the graph has its addresses
  Precision precision_ = Precision::fp32;
  std::optional<MemoryPlan> memory_;
  std::unique_ptr<gpu::Graph> graph_;
  std::int64_t steps_before_ = 0;
  bool counts_forward_ = false;     // whether the model counts its forwards
  std::vector<Parameter> learned_;  // those that get a gradient
  std::vector<Parameter> frozen_;   // those that are not to get one
  std::vector<bool> modes_;         // of all modules, whether in training
};

}  // namespace gpucnn
