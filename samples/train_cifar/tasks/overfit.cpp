#include "train_cifar/tasks/overfit.h"

#include <fmt/format.h>

#include "common/stop_signal.h"
#include "train_cifar/parts.h"
#include "train_cifar/tasks/task_folder.h"

using namespace gpucnn;

namespace {

constexpr int kMaxSteps = 1000, kSaidEvery = 50;
constexpr double kMaxLoss = 0.05;  // of a batch that is known by heart

/// The first batch, as it is: augmentation would make another of it every time.
Batch first_batch(const Options& options, const Setup& setup) {
  Options plain = options;
  plain.augment = false;
  DataLoader train(setup.data.train, train_options(plain, setup.data, setup.device));
  if (train.size() == 0) throw UsageError("--overfit-batch: the training set has no batch");
  return *train.begin();
}

}  // namespace

ExitCode overfit_batch(const Options& options) {
  TaskFolder folder(options);
  Setup setup(options);
  folder.introduce(setup, setup.load_init(options));
  const Batch batch = first_batch(options, setup);
  const auto optimizer = make_optimizer(options, *setup.model);
  CrossEntropyLoss loss;  // without --label-smoothing, whose least loss is not 0
  TrainStep step(*setup.model, *optimizer, loss, {.clip_grad_norm = options.clip_grad_norm});
  setup.model->train();
  double first = 0, last = 0;
  int steps = 0;
  do {
    last = step(batch).loss();
    if (++steps == 1) first = last;
    if (steps % kSaidEvery == 0) folder.say(fmt::format("step {}: loss {:.4f}", steps, last));
    if (stop_signal() != 0) return fail(signalled(), "interrupted; nothing was written");
  } while (last > kMaxLoss && steps < kMaxSteps);
  const std::string what = fmt::format("of one batch of {} images the loss was {:.4f} at first and {:.4f} after {} steps",
                                       batch.inputs.dim(0), first, last, steps);
  if (last > kMaxLoss)
    return fail(ExitCode::not_learned, what + ": it does not come near 0; look at the labels, and try another --lr");
  folder.finish(what + ": it comes near 0, as it should");
  return ExitCode::done;
}
