#include "train_cifar/tasks/find_rate.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "common/stop_signal.h"
#include "common/terminal/waiting_line.h"
#include "train_cifar/introduction.h"
#include "train_cifar/parts.h"
#include "train_cifar/tasks/rate_search.h"
#include "train_cifar/tasks/task_folder.h"

using namespace gpucnn;

namespace {

constexpr std::int64_t kMinSteps = 100, kMaxSteps = 500;

/// Steps through the training images, which begin again where they end. None if a signal asked for the end.
bool run(RateSearch& search, TrainStep& step, Optimizer& optimizer, DataLoader& train, bool quiet) {
  WaitingLine waiting("trying learning rates", quiet);
  while (true) {
    for (const Batch& batch : train) {
      for (std::size_t group = 0; group < optimizer.groups(); ++group) optimizer.set_lr(group, search.rate());
      if (stop_signal() != 0) return false;
      try {
        if (!search.add(step(batch).loss())) return true;
        waiting.count(std::ssize(search.trials()), search.steps());
      } catch (const NonFiniteLoss&) {
        return true;
      }
    }
  }
}

/// Says what was found.
ExitCode tell(const RateSearch& search, const TaskFolder& folder) {
  const auto steps = search.trials().size();
  if (search.suggestion() == 0) {
    return fail(ExitCode::not_learned, fmt::format("the loss falls at no learning rate of {} steps; look at the labels", steps));
  }
  folder.finish(fmt::format("the loss falls fastest at --lr {:.2g}, of {} rates from {:.0e} to {:.2g}", search.suggestion(), steps,
                            RateSearch::kMinRate, search.trials().back().lr));
  return ExitCode::done;
}

}  // namespace

ExitCode find_rate(const Options& options) {
  TaskFolder folder(options);
  Setup setup(options);
  folder.introduce(setup, setup.load_init(options));
  DataLoader train(setup.data.train, train_options(options, setup.data, setup.device));
  if (train.size() == 0) throw UsageError("--find-lr: the training set has no batch");
  const auto optimizer = make_optimizer(options, *setup.model);
  CrossEntropyLoss loss({.label_smoothing = options.label_smoothing});
  TrainStep step(*setup.model, *optimizer, loss, {.clip_grad_norm = options.clip_grad_norm});
  RateSearch search(static_cast<int>(std::clamp<std::int64_t>(train.size(), kMinSteps, kMaxSteps)));
  setup.model->train();
  if (!run(search, step, *optimizer, train, options.quiet)) {
    return fail(signalled(), "interrupted; nothing was written");
  }
  const ExitCode code = tell(search, folder);
  if (folder.is_wanted()) {
    RunReport report(report_texts(options, setup, "test"));
    report.add_rates(search.trials(), search.suggestion());
    folder.save(setup, report);
  }
  return code;
}
