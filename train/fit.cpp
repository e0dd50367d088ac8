#include <gpucnn/train/fit.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/layers/module/training_mode.h>
#include <gpucnn/optim/schedules/reduce_lr_on_plateau.h>
#include <gpucnn/train/evaluator.h>
#include <gpucnn/train/parallel/broadcast_run.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

namespace gpucnn {
namespace {

class Stopwatch {
 public:
  double seconds() const {
    const FloatEnvironment standard;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::int64_t images_of(const DataLoader& loader) {
  const std::int64_t all = std::ssize(loader.order());
  return loader.options().drop_last ? loader.size() * loader.options().batch_size : all;
}

void check_schedule(const Optimizer& optimizer, const DataLoader& test, const FitOptions& options) {
  if (!options.scheduler) return;
  if (&options.scheduler->optimizer() != &optimizer) throw std::invalid_argument("fit: scheduler must be of the optimizer given");
  if (!dynamic_cast<const ReduceLROnPlateau*>(options.scheduler)) return;
  if (options.schedule_every != Every::epoch) {
    throw std::invalid_argument("fit: schedule_every must be Every::epoch for ReduceLROnPlateau, which goes by the test loss");
  }
  if (test.size() < 1) throw std::invalid_argument("fit: ReduceLROnPlateau goes by the test loss, but the test set has no batch");
}

void step_schedule(LRScheduler& scheduler, double test_loss) {
  if (auto* plateau = dynamic_cast<ReduceLROnPlateau*>(&scheduler)) {
    plateau->step(test_loss);
  } else {
    scheduler.step();
  }
}

void check_start(const DataLoader& train, const RunPosition& start) {
  if (start.epoch < 0) throw std::invalid_argument(formatted("fit: start.epoch must not be negative, got {}", start.epoch));
  if (start.batches < 0 || start.batches > train.size()) {
    throw std::invalid_argument(
        formatted("fit: start.batches must be from 0 to {}, the batches of an epoch, got {}", train.size(), start.batches));
  }
}

void check_patience(const DataLoader& test, const std::optional<int>& patience) {
  if (!patience) return;
  if (*patience < 1) throw std::invalid_argument(formatted("fit: patience must be at least 1, got {}", *patience));
  if (test.size() < 1) throw std::invalid_argument("fit: patience goes by the test accuracy, but the test set has no batch");
}

/// A run of `fit`.
class Run {
 public:
  Run(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& train, DataLoader& test, const FitOptions& options)
      : optimizer_(optimizer),
        train_(train),
        test_(test),
        options_(options),
        mode_(model),
        trainer_(model, optimizer, loss, train, options.step),
        evaluator_(Evaluator::of(model, options.test_loss ? *options.test_loss : loss, test, options.step.distributed)),
        distributed_(other_ranks(options.step.distributed)) {
    result_.position = options.start;
    const RunParts parts{model, optimizer, &train, &test, options.scheduler, options.step.ema};
    if (distributed_) result_.position = broadcast_run(*distributed_, parts, options.start);
  }

  FitResult all_epochs() {
    while (at().epoch < options_.epochs && !stalls() && train_epoch()) {
      const std::optional<Metrics> judged = judge();
      if (!judged) break;
      end_epoch(*judged);
    }
    return std::move(result_);
  }

 private:
  RunPosition& at() { return result_.position; }
  /// Whether the run must stop, and whether it must be saved: what one rank wants all do.
  std::pair<bool, bool> wishes() {
    std::int64_t wished[] = {options_.stop && options_.stop(), options_.save && options_.save_due && options_.save_due()};
    if (distributed_) distributed_->all_reduce(wished, Reduce::max);
    result_.stopped = wished[0] != 0;
    return {result_.stopped, wished[1] != 0};
  }
  bool stops() {
    std::int64_t wished[] = {options_.stop && options_.stop()};
    if (distributed_) distributed_->all_reduce(wished, Reduce::max);
    return result_.stopped = wished[0] != 0;
  }
  /// Whether too many epochs have passed since the best. An epoch that was begun, for more patience, is ended.
  bool stalls() {
    return result_.stalled = options_.patience && at().batches == 0 && at().epoch - at().best_epoch >= *options_.patience;
  }

  /// The rest of an epoch's training. False if the run was stopped.
  bool train_epoch() {
    LRScheduler* const schedule = options_.schedule_every == Every::step ? options_.scheduler : nullptr;
    watch_ = {};
    seconds_before_ = at().seconds;
    trainer_.start_epoch(at().batches);
    while (const std::int64_t steps = trainer_.step(schedule ? 1 : Trainer::kStepsAtOnce)) {
      at().batches += steps;
      if (schedule) schedule->step();
      tell(trainer_.take());
      const auto [stopped, saves] = wishes();
      if (stopped || saves) tell_late();  // what is queued may still fail
      if (stopped) return false;
      if (saves) save();
    }
    tell_late();
    return true;
  }

  void tell(const Metrics& seen) {
    at().train += seen;
    at().seconds = seconds();
    if (options_.on_step) options_.on_step(progress());
  }

  void tell_late() {
    if (const Metrics late = trainer_.finish(); late.images) tell(late);
  }

  Progress progress() { return {at().epoch + 1, options_.epochs, images_of(train_), at().train, at().seconds}; }

  /// Of this epoch, with those before `start`.
  double seconds() const {
    const FloatEnvironment standard;
    return seconds_before_ + watch_.seconds();
  }

  /// What the test set says; none if the run was stopped.
  std::optional<Metrics> judge() {
    std::optional<ExponentialMovingAverage::Applied> averaged;
    if (options_.step.ema) averaged.emplace(*options_.step.ema);
    const std::uint64_t epoch = test_.epoch();
    const std::optional<Metrics> judged = (*evaluator_)([this] { return stops(); });
    if (!judged) test_.set_epoch(epoch);  // a run that goes on judges anew
    if (judged && !std::isfinite(judged->loss_sum)) throw NonFiniteLoss(judged->loss(), trainer_.steps());
    return judged;
  }

  void end_epoch(const Metrics& judged) {
    const double accuracy = judged.accuracy();
    const bool is_best = accuracy > at().best_accuracy;
    const Progress trained = progress();
    {
      const FloatEnvironment standard;
      result_.epochs.push_back(
          {trained.epoch, trained.train, judged, optimizer_.lr(), seconds(), trained.images_per_second(), is_best});
    }
    at() = {.epoch = trained.epoch,
            .best_epoch = is_best ? trained.epoch : at().best_epoch,
            .best_accuracy = is_best ? accuracy : at().best_accuracy};
    if (options_.scheduler && options_.schedule_every == Every::epoch) step_schedule(*options_.scheduler, judged.loss());
    report();
    save();
  }

  /// A rank may write a report, and the others wait for it.
  void report() {
    const Distributed::LongTask waited_for = long_task();
    if (options_.on_epoch) options_.on_epoch(result_.epochs.back());
  }

  void save() {
    const Distributed::LongTask waited_for = long_task();
    if (options_.save) options_.save(at());
  }

  Distributed::LongTask long_task() const {
    if (distributed_) return distributed_->long_task();
    return Distributed().long_task();
  }

  Optimizer& optimizer_;
  DataLoader &train_, &test_;
  const FitOptions& options_;
  const TrainingMode mode_;
  Trainer trainer_;
  const std::unique_ptr<Evaluator> evaluator_;
  const Distributed* const distributed_;  // null: no other ranks
  FitResult result_;
  Stopwatch watch_;  // of the epoch, from where it was taken up
  double seconds_before_ = 0;
};

}  // namespace

FitResult fit(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& train, DataLoader& test, const FitOptions& options) {
  if (options.epochs < 1) throw std::invalid_argument(formatted("fit: epochs must be at least 1, got {}", options.epochs));
  if (train.size() < 1) throw std::invalid_argument("fit: the training set has no batch");
  check_start(train, options.start);
  check_schedule(optimizer, test, options);
  check_patience(test, options.patience);
  return Run(model, optimizer, loss, train, test, options).all_epochs();
}

FitResult fit(Module& model, Optimizer& optimizer, DataLoader& train, DataLoader& test, const FitOptions& options) {
  CrossEntropyLoss loss;
  return fit(model, optimizer, loss, train, test, options);
}

}  // namespace gpucnn
