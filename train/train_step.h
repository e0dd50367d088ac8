#pragma once

#include <cstdint>
#include <memory>

#include <gpucnn/core/error.h>
#include <gpucnn/core/export.h>
#include <gpucnn/data/batch.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>
#include <gpucnn/train/metrics.h>
#include <gpucnn/train/parameter_update.h>

namespace gpucnn {

class JoinedStep;

/// The loss of a training step was not finite. The parameters are those before the step; buffers, as running statistics, have seen
/// its batch, as in PyTorch.
class GPUCNN_API NonFiniteLoss : public Error {
 public:
  /// `step` counts from 1.
  NonFiniteLoss(double loss, std::int64_t step);
  ~NonFiniteLoss() override;

  std::int64_t step() const noexcept { return step_; }

 private:
  std::int64_t step_;
};

/// Where a process's part lies in a batch that several train on.
struct PlaceInBatch {
  std::int64_t before = 0;  ///< images of the batch before the part's first
  std::int64_t images = 0;  ///< of the whole batch
};

/// One step of training: forward, loss, backward, update. Allocates nothing once it has met a batch of every size. Holds
/// references: model, optimizer, loss and average must stay where they are.
class GPUCNN_API TrainStep {
 public:
  /// Throws `std::invalid_argument` for options that make no sense: see ParameterUpdate.
  TrainStep(Module& model, Optimizer& optimizer, Loss& loss, const StepOptions& options = {});
  /// With CrossEntropyLoss.
  TrainStep(Module& model, Optimizer& optimizer, const StepOptions& options = {});
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  /// Learns from a batch: inputs as the model takes them, labels as the loss takes them. Returns what the model thought of it
  /// before the update: correct images are counted where the output is [N, C] and the labels are whole numbers [N], or
  /// probabilities that the loss takes. Throws `NonFiniteLoss` instead of updating when the loss is NaN or infinite.
  ///
  /// With StepOptions::distributed the ranks call it together, each with its part of a batch, which may be none of it. All begin
  /// with what rank 0 had when they were made; see broadcast_run. They learn from the whole batch, and get its metrics; a loss that
  /// is not finite throws on all of them. A sum is of the whole batch, and a mean over the images, or weights, of the whole.
  Metrics operator()(const Batch& batch);
  /// The same, where it is known how the ranks' parts lie in the batch: saves them to ask each other. Without `distributed`, the
  /// place of dropout's numbers alone.
  Metrics operator()(const Batch& part, const PlaceInBatch& place);

  /// How many steps there were.
  std::int64_t steps() const noexcept { return steps_; }

 private:
  PlaceInBatch place_of(const Batch& part) const;
  Metrics step_alone(const Batch& batch, const PlaceInBatch& place);
  Metrics step_joined(const Batch& part, const PlaceInBatch& place);

  Module& model_;
  Optimizer& optimizer_;
  Loss& loss() { return loss_ ? *loss_ : cross_entropy_; }

  CrossEntropyLoss cross_entropy_;
  Loss* loss_ = nullptr;  // null: cross_entropy_
  ParameterUpdate update_;
  const Distributed* distributed_;      // null: no other ranks
  std::unique_ptr<JoinedStep> joined_;  // with them
  std::int64_t steps_ = 0;
};

/// What the model thinks of a batch, in eval mode, learning nothing. A batch of which all labels are ignored has no loss, though
/// the mean over none is NaN.
GPUCNN_API Metrics evaluate(const Module& model, Loss& loss, const Batch& batch);
/// The same with CrossEntropyLoss.
GPUCNN_API Metrics evaluate(const Module& model, const Batch& batch);

}  // namespace gpucnn
