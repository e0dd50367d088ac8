#include "train_cifar/tasks/evaluation.h"

#include <chrono>

#include <fmt/format.h>

#include "common/stop_signal.h"
#include "common/terminal/waiting_line.h"
#include "train_cifar/introduction.h"
#include "train_cifar/tasks/task_folder.h"
#include "train_cifar/weights.h"

using namespace gpucnn;

namespace {

/// The images are judged as those that the weights were learned from: numbered by the same classes, normalised in the same way.
void take(const Weights& weights, const Options& options, Setup& setup) {
  if (const std::string fresh = setup.load(weights, options); !fresh.empty()) {
    throw CheckpointError(fmt::format("--eval-only: {}, and would have to be learned first", fresh));
  }
  if (const std::string other = other_classes(weights, setup.data.class_names); !other.empty()) {
    throw CheckpointError(fmt::format("--eval-only: {}", other));
  }
  const std::optional<Normalize> normalize = weights.normalize();
  if (!normalize) return;
  if (const std::int64_t channels = setup.data.test->image_shape()[0]; std::ssize(normalize->mean) != channels) {
    throw CheckpointError(
        fmt::format("{}: has mean and std of {} channels, not {}", weights.file.string(), normalize->mean.size(), channels));
  }
  setup.data.normalize = *normalize;
}

}  // namespace

std::optional<Metrics> judge(Module& model, Loss& loss, DataLoader& loader) {
  Metrics judged;
  for (const Batch& batch : loader) {
    judged += evaluate(model, loss, batch);
    if (stop_signal() != 0) return {};
  }
  return judged;
}

ExitCode evaluate_only(const Options& given) {
  const auto start = std::chrono::steady_clock::now();
  const Weights weights = read_weights(given.init);
  const Options options = with_model_of(weights, given);
  TaskFolder folder(options);
  Setup setup(options);
  take(weights, options, setup);
  folder.introduce(setup);
  CrossEntropyLoss loss;  // without --label-smoothing, which is for learning
  DataLoader test(setup.data.test, test_options(options, setup.data, setup.device));
  const std::optional<Metrics> judged = [&] {
    const WaitingLine waiting("judging the test images", options.quiet);
    return judge(*setup.model, loss, test);
  }();
  if (!judged) return fail(signalled(), "interrupted; nothing was written");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  folder.finish(fmt::format("test accuracy {:.4f}, test loss {:.4f}; {} images in {:.1f} s", judged->accuracy(), judged->loss(),
                            judged->images, seconds));
  if (folder.is_wanted()) {  // what cannot be written takes nothing from what was said
    RunReport report(report_texts(options, setup, "test"));
    report.add_test(*judged);
    DataLoader shown(setup.data.test, test_options(options, setup.data, setup.device));
    report.look_at(*setup.model, shown);
    folder.save(setup, report);
  }
  return ExitCode::done;
}
