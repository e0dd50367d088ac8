#pragma once

#include <cstdint>

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

/// One step of training: forward, loss, backward, update. Allocates nothing once it has met a batch of every size. Holds
/// references: model, optimizer, loss and average must stay where they are.
class GPUCNN_API TrainStep {
 public:
  /// Throws `std::invalid_argument` for options that make no sense: see ParameterUpdate.
  TrainStep(Module& model, Optimizer& optimizer, Loss& loss, const StepOptions& options = {})
      : model_(model), optimizer_(optimizer), loss_(&loss), update_(model, optimizer, options) {}
  /// With CrossEntropyLoss.
  TrainStep(Module& model, Optimizer& optimizer, const StepOptions& options = {})
      : model_(model), optimizer_(optimizer), update_(model, optimizer, options) {}

  /// Learns from a batch: inputs as the model takes them, labels as the loss takes them. Returns what the model thought of it
  /// before the update: correct images are counted where the output is [N, C] and the labels are whole numbers [N], or
  /// probabilities that the loss takes. Throws `NonFiniteLoss` instead of updating when the loss is NaN or infinite.
  Metrics operator()(const Batch& batch);

  /// How many steps there were.
  std::int64_t steps() const noexcept { return steps_; }

 private:
  Module& model_;
  Optimizer& optimizer_;
  Loss& loss() { return loss_ ? *loss_ : cross_entropy_; }

  CrossEntropyLoss cross_entropy_;
  Loss* loss_ = nullptr;  // null: cross_entropy_
  ParameterUpdate update_;
  std::int64_t steps_ = 0;
};

/// What the model thinks of a batch, in eval mode, learning nothing. A batch of which all labels are ignored has no loss, though
/// the mean over none is NaN.
GPUCNN_API Metrics evaluate(const Module& model, Loss& loss, const Batch& batch);
/// The same with CrossEntropyLoss.
GPUCNN_API Metrics evaluate(const Module& model, const Batch& batch);

}  // namespace gpucnn
