#include <gpucnn/train/fit.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/core/threads/float_environment.h>
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

/// Training mode in a whole model while it lives.
class Training final : Members {
 public:
  explicit Training(Module& model) {
    (*this)({}, model);
    model.train();
  }
  ~Training() {
    for (const auto& [module, training] : before_) module->train(training);
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

 private:
  void operator()(std::string_view, Parameter&) override {}
  void operator()(std::string_view, Tensor&) override {}
  void operator()(std::string_view, Module& module) override {
    before_.emplace_back(&module, module.training());
    module.members(*this);
  }

  std::vector<std::pair<Module*, bool>> before_;  // a parent before its children, whose modes may differ
};

std::int64_t images_of(const DataLoader& loader) {
  const std::int64_t all = loader.dataset().size();
  return loader.options().drop_last ? loader.size() * loader.options().batch_size : all;
}

}  // namespace

FitResult fit(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& train, DataLoader& test, const FitOptions& options) {
  if (options.epochs < 1) throw std::invalid_argument(fmt::format("fit: epochs must be at least 1, got {}", options.epochs));
  if (train.size() < 1) throw std::invalid_argument("fit: the training set has no batch");
  const Training mode(model);
  Trainer trainer(model, optimizer, loss, train);
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
    while (trainer.step()) {
      tell(trainer.take());
      if (!stop()) continue;
      trainer.finish();  // what is queued may still fail
      return result;
    }
    if (const Metrics late = trainer.finish(); late.images) tell(late);
    Metrics judged;
    for (const Batch& batch : test) {
      judged += evaluate(model, loss, batch);
      if (stop()) return result;
    }
    if (!std::isfinite(judged.loss_sum)) throw NonFiniteLoss(judged.loss(), trainer.steps());
    const bool is_best = judged.accuracy() > best;
    best = std::max(best, judged.accuracy());
    {
      const FloatEnvironment standard;
      result.epochs.push_back(
          {epoch, progress.train, judged, optimizer.lr(), watch.seconds(), progress.images_per_second(), is_best});
    }
    if (options.on_epoch) options.on_epoch(result.epochs.back());
  }
  return result;
}

FitResult fit(Module& model, Optimizer& optimizer, DataLoader& train, DataLoader& test, const FitOptions& options) {
  CrossEntropyLoss loss;
  return fit(model, optimizer, loss, train, test, options);
}

}  // namespace gpucnn
