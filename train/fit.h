#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/optim/optimizer.h>
#include <gpucnn/optim/schedules/lr_scheduler.h>
#include <gpucnn/train/metrics.h>
#include <gpucnn/train/parameter_update.h>
#include <gpucnn/train/run_position.h>

namespace gpucnn {

/// How far an epoch has come.
struct Progress {
  int epoch;            ///< from 1
  int epochs;           ///< in all
  std::int64_t images;  ///< of the epoch, all batches together
  Metrics train;        ///< so far
  double seconds;       ///< of training in this epoch so far
  double images_per_second() const noexcept { return seconds > 0 ? static_cast<double>(train.images) / seconds : 0.0; }
};

/// What an epoch came to.
struct EpochResult {
  int epoch;  ///< from 1
  Metrics train, test;
  double lr;
  double seconds;            ///< training and test
  double images_per_second;  ///< of training
  bool best;                 ///< whether no earlier epoch had this test accuracy or more
};

enum class Every { step, epoch };

/// What `fit` does besides; every function may be empty.
struct FitOptions {
  int epochs = 10;  ///< >= 1
  /// >= 1: ends the run after so many epochs in a row without a better test accuracy, also a run that begins at `start` there.
  /// Empty: never.
  std::optional<int> patience = {};
  /// After every step, on a GPU perhaps after every eight: Trainer::kStepsAtOnce. A GPU is some steps behind, so once more when the
  /// epoch's last results have arrived.
  std::function<void(const Progress&)> on_step = {};
  std::function<void(const EpochResult&)> on_epoch = {};  ///< after every epoch
  std::function<bool()> stop = {};                        ///< asked where on_step is and after every test batch; true ends the run
  /// Where to begin: `load_checkpoint` tells it, which has put everything else in its place.
  RunPosition start = {};
  /// Called behind on_epoch, and where `save_due` says so: `save_checkpoint(file, run, position)` then keeps all that the run needs
  /// to go on from there, bit for bit. A GPU has caught up.
  std::function<void(const RunPosition& position)> save = {};
  std::function<bool()> save_due = {};  ///< asked where on_step is; true calls `save` amid the epoch
  /// Of this optimizer: sets the learning rates. Null: they stay. A ReduceLROnPlateau goes by the test loss.
  LRScheduler* scheduler = nullptr;
  Every schedule_every = Every::epoch;  ///< when the schedule steps: behind each training step, or each epoch and its test
  StepOptions step = {};                ///< clipping, and an average of the model, by which it is then judged
  /// Of the test set, as plain cross-entropy where labels are smoothed for learning only. Null: that of the training.
  Loss* test_loss = nullptr;
};

/// What a run came to.
struct FitResult {
  std::vector<EpochResult> epochs;  ///< those that were finished
  bool stopped = false;             ///< whether `stop` ended it
  bool stalled = false;             ///< whether `patience` ended it before the last epoch
  RunPosition position;             ///< where it stands now: `save_checkpoint` takes it
};

/// Trains a model for some epochs, all of it that is not frozen in training mode, and judges it by the test set after each. With an
/// average in `step.ema` the averages are judged; in every callback but `stop`, and in the end, the model has its own weights.
/// A run that begins at `start` has the bits of one that was never stopped. Every module is left in the mode it came in.
///
/// Throws `NonFiniteLoss` (train_step.h), also for the test set's loss after an epoch. Throws `std::invalid_argument` unless epochs
/// and patience >= 1, `start` is in the run, and the training set has a batch. So it does for a schedule of another optimizer and
/// for step options that make no sense. A ReduceLROnPlateau must be stepped every epoch. It and patience need a test set; else they
/// are refused as well.
GPUCNN_API FitResult fit(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& train, DataLoader& test,
                         const FitOptions& options = {});
/// The same with CrossEntropyLoss.
GPUCNN_API FitResult fit(Module& model, Optimizer& optimizer, DataLoader& train, DataLoader& test, const FitOptions& options = {});

}  // namespace gpucnn
