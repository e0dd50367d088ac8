#pragma once

#include <cstdint>
#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>
#include <gpucnn/train/metrics.h>
#include <gpucnn/train/parameter_update.h>

namespace gpucnn {

/// Trains a model on the batches of a DataLoader: forward, loss, backward, update. What a step came to is asked for
/// apart from the step, because a GPU runs behind:
///
///     trainer.start_epoch();
///     while (trainer.step()) seen += trainer.take();
///     seen += trainer.finish();
///
/// Where the model and a TensorDataset lie on one GPU, a step is captured as a CUDA graph, once for each batch size, and replayed.
/// It reaches from the gather of the batch to the update. Results arrive without anybody waiting. Layers' `forward` and `gradients`
/// are then not called again. Elsewhere, or if a layer waits for the GPU in its forward, the steps run one by one. The results are
/// the same.
///
/// Holds references: model, optimizer, loss, loader and average must stay where they are, and the model on its device. Between
/// steps parts may be frozen or learned again, and modes may change: a captured step is then recorded anew. One thread at a time.
class GPUCNN_API Trainer {
 public:
  /// Throws `std::invalid_argument` for options that make no sense: see ParameterUpdate.
  Trainer(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader, const StepOptions& options = {});
  /// With CrossEntropyLoss.
  Trainer(Module& model, Optimizer& optimizer, DataLoader& loader, const StepOptions& options = {});
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Begins the loader's next epoch, at its batch number `batch`; ends the one before. Throws `std::invalid_argument` unless
  /// `batch` is in [0, loader.size()].
  void start_epoch(std::int64_t batch = 0);

  /// Learns from the epoch's next batch, or queues that. False if there is none. Throws `NonFiniteLoss` (train_step.h), at the
  /// latest in `finish`, when a loss is NaN or infinite: parameters and average are then those before that step, on a GPU too,
  /// where later steps were queued but write nothing.
  bool step() { return step(1) > 0; }
  /// The same for up to `at_most` batches, at least 1: returns for how many, 0 if there is none. A GPU gets kStepsAtOnce short
  /// steps by one launch; elsewhere it is one batch a call.
  std::int64_t step(std::int64_t at_most);
  static constexpr std::int64_t kStepsAtOnce = 8;

  /// What the steps came to whose results have arrived and were not taken yet. Never waits.
  Metrics take();

  /// Waits for all steps; what they came to as far as it was not taken.
  Metrics finish();

  /// How many steps were begun.
  std::int64_t steps() const noexcept;

  class Impl;  ///< how it is done on a device

 private:
  const DataLoader& loader_;
  std::unique_ptr<Loss> own_loss_;  // null: the caller's
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpucnn
