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

void end_epoch(LRScheduler& scheduler, double test_loss) {
  if (auto* plateau = dynamic_cast<ReduceLROnPlateau*>(&scheduler)) {
    plateau->step(test_loss);
  } else {
    scheduler.step();
  }
}

}  // namespace

FitResult fit(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& train, DataLoader& test, const FitOptions& options) {
  if (options.epochs < 1) throw std::invalid_argument(formatted("fit: epochs must be at least 1, got {}", options.epochs));
  if (train.size() < 1) throw std::invalid_argument("fit: the training set has no batch");
  check_schedule(optimizer, test, options);
  LRScheduler* const each_step = options.schedule_every == Every::step ? options.scheduler : nullptr;
  LRScheduler* const each_epoch = options.schedule_every == Every::epoch ? options.scheduler : nullptr;
  const TrainingMode mode(model);
  Trainer trainer(model, optimizer, loss, train, options.step);
  const std::unique_ptr<Evaluator> evaluator = Evaluator::of(model, loss, test);
  FitResult result;
  const auto stop = [&] { return result.stopped = options.stop && options.stop(); };
  double best = -1;
  for (int epoch = 1; epoch <= options.epochs; ++epoch) {
    const Stopwatch watch;
    Progress progress{epoch, options.epochs, images_of(train), {}, 0};
    const auto tell = [&](const Metrics& seen) {
      progress.train += seen;
      progress.seconds = watch.seconds();
      if (options.on_step) options.on_step(progress);
    };
    trainer.start_epoch();
    while (trainer.step(each_step ? 1 : Trainer::kStepsAtOnce) > 0) {
      if (each_step) each_step->step();
      tell(trainer.take());
      if (!stop()) continue;
      trainer.finish();  // what is queued may still fail
      return result;
    }
    if (const Metrics late = trainer.finish(); late.images) tell(late);
    Metrics judged;
    {
      std::optional<ExponentialMovingAverage::Applied> averaged;
      if (options.step.ema) averaged.emplace(*options.step.ema);
      const std::optional<Metrics> all = (*evaluator)(stop);
      if (!all) return result;
      judged = *all;
    }
    if (!std::isfinite(judged.loss_sum)) throw NonFiniteLoss(judged.loss(), trainer.steps());
    const bool is_best = judged.accuracy() > best;
    best = std::max(best, judged.accuracy());
    {
      const FloatEnvironment standard;
      result.epochs.push_back(
          {epoch, progress.train, judged, optimizer.lr(), watch.seconds(), progress.images_per_second(), is_best});
    }
    if (each_epoch) end_epoch(*each_epoch, judged.loss());
    if (options.on_epoch) options.on_epoch(result.epochs.back());
  }
  return result;
}

FitResult fit(Module& model, Optimizer& optimizer, DataLoader& train, DataLoader& test, const FitOptions& options) {
  CrossEntropyLoss loss;
  return fit(model, optimizer, loss, train, test, options);
}

}  // namespace gpucnn
