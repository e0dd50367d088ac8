#include "session.h"

#include <system_error>

#include <fmt/format.h>

#include "common/json_text.h"
#include "common/stop_signal.h"
#include "common/terminal/waiting_line.h"
#include "config.h"
#include "initial_state.h"
#include "introduction.h"
#include "parts.h"
#include "tasks/evaluation.h"

using namespace gpucnn;

namespace {

std::string place_of(const RunPosition& position, int epochs) {
  const std::string steps = position.batches > 0 ? fmt::format(" and {} steps", position.batches) : "";
  return fmt::format("{} of {} epochs{}", position.epoch, epochs, steps);
}

}  // namespace

Session::Session(const Options& options, RunFolder& folder, const Distributed& ranks)
    : Training(options, ranks),
      folder_(folder),
      shown_(setup_.data.judged(), test_options(options, setup_.data, setup_.device)),
      report_(report_texts(options, setup_, setup_.data.judged_name())),
      display_(options.quiet, setup_.data.judged_name()),
      times_(options.save_every, options.epochs) {
  take_up();
}

/// Where the run begins: with the state of the folder, with the weights of --init, or with fresh ones.
void Session::take_up() {
  const auto state = options_.resume ? folder_.find("state.safetensors") : std::nullopt;
  resumes_ = state.has_value();
  if (resumes_) {
    begin_ = load_run(*state, *parts_, identity_of(options_, setup_.data));
    if (begin_.epoch > options_.epochs) {
      throw CheckpointError(
          fmt::format("--epochs {}: the run in {} has done {}", options_.epochs, folder_.path().string(), begin_.epoch));
    }
    test_accuracy_ = folder_.test_accuracy();
  } else {
    fresh_ = setup_.load_init(options_);
  }
}

ExitCode Session::operator()() {
  if (is_done()) return end_done({.epochs = {}, .stalled = begin_.epoch < options_.epochs, .position = begin_});
  announce();
  const FitResult result = train();
  display_.end_line();
  return result.stopped ? end_stopped(result.position) : end_done(result);
}

/// Whether a run that stands there has come to its end.
bool Session::ends_at(const RunPosition& position) const {
  if (position.batches > 0) return false;
  return position.epoch == options_.epochs || (options_.early_stop && position.epoch - position.best_epoch >= *options_.early_stop);
}

/// Whether the best weights have yet to be judged by the test images.
bool Session::lacks_test() const { return setup_.data.validation && !test_accuracy_; }

/// A run that is killed before its first epoch has a state, too.
void Session::open_folder() {
  if (is_done()) return;
  const std::string config = config_of(options_, setup_.data, setup_.device);
  const RunFolder::Texts texts{config, identity_of(options_, setup_.data), metadata_of(options_, setup_.data),
                               setup_.data.judged_name()};
  if (resumes_) {
    folder_.resume(texts, begin_);
    test_accuracy_.reset();  // test.json is gone
    for (const EpochNumbers& epoch : folder_.epochs()) report_.add(epoch);
  } else {
    folder_.begin(texts);
    folder_.save_state(*parts_, begin_, /*keep=*/1);
  }
  if (options_.tensorboard) open_tensorboard();  // behind begin, which removes the event files of the run before
}

/// Of the epochs that a run makes again, TensorBoard shows the new ones.
void Session::open_tensorboard() {
  SummaryWriterOptions options;
  if (resumes_) options.purge_step = begin_.epoch + 1;
  tensorboard_.emplace(folder_.path(), options);
}

void Session::announce() {
  for (const std::string& line : introduction(options_, setup_)) display_.start(line);
  if (!fresh_.empty()) display_.start(fresh_);
  if (resumes_) display_.start(fmt::format("going on after {}", place_of(begin_, options_.epochs)));
}

FitResult Session::train() {
  bool has_trained = false;  // which a first loss that is not finite prevents
  try {
    FitOptions options = fit_options();
    options.on_step = [&](const Progress& progress) {
      has_trained = true;
      display_.progress(progress);
    };
    options.on_epoch = [this](const EpochResult& epoch) { add(epoch); };
    options.start = begin_;
    options.save = [this](const RunPosition& position) { save(position); };
    options.save_due = [this] { return times_.now(); };
    return fit(options);
  } catch (const NonFiniteLoss& error) {
    if (options_.init.empty() || resumes_ || has_trained || error.step() > 1) throw;
    throw CheckpointError(fmt::format("{}: its weights give a loss that is not finite{}", options_.init.string(), kInitAdvice));
  }
}

/// What is judged is what is saved.
void Session::add(const EpochResult& epoch) {
  std::optional<ExponentialMovingAverage::Applied> averaged;
  if (ema_) averaged.emplace(*ema_);
  folder_.add(epoch, *setup_.model);
  if (tensorboard_) add_epoch(*tensorboard_, epoch, *setup_.model, setup_.data.judged_name());
  report_.add(epoch);
  if (epoch.best || report_.examination().classes == 0) report_.look_at(*setup_.model, shown_);
  folder_.save_report(report_.html());
  display_.epoch(epoch, options_.epochs);
}

void Session::save(const RunPosition& position) {
  if (!times_.at(position) && !ends_at(position)) return;
  folder_.save_state(*parts_, position, options_.keep);
  times_.saved();
}

ExitCode Session::end_stopped(const RunPosition& position) {
  folder_.save_state(*parts_, position, options_.keep);
  std::optional<ExponentialMovingAverage::Applied> averaged;
  if (ema_) averaged.emplace(*ema_);
  const std::filesystem::path last = folder_.save_last(*setup_.model);
  return fail(signalled(signal_), fmt::format("interrupted after {}; the weights are in {}; --resume goes on from there",
                                              place_of(position, options_.epochs), last.string()));
}

/// The test images have their say once, when everything is chosen.
void Session::judge_best(int epoch) {
  const auto best = folder_.find("best.safetensors");
  if (!best) throw CheckpointError(fmt::format("{}: holds no best.safetensors", folder_.path().string()));
  setup_.load(read_weights(*best), options_);
  DataLoader test(setup_.data.test, test_options(options_, setup_.data, setup_.device));
  const WaitingLine waiting("judging the test images", options_.quiet);
  const std::optional<Metrics> found = judge(*setup_.model, test_loss_, test);
  if (!found) return;
  report_.add_test(*found);
  // A run that went on at its end has looked at no epoch.
  if (report_.examination().classes == 0) report_.look_at(*setup_.model, shown_, epoch);
  folder_.save_report(report_.html());
  folder_.save_test(json_text::object({{"test_loss", json_text::of(found->loss())},
                                       {"test_accuracy", json_text::of(found->accuracy())},
                                       {"test_images", std::to_string(found->images)}},
                                      json_text::Layout::in_lines));
  test_accuracy_ = found->accuracy();
}

ExitCode Session::end_done(const FitResult& result) {
  if (lacks_test()) judge_best(result.position.best_epoch);
  if (lacks_test()) return fail(signalled(), "interrupted before the test images were looked at; --resume does that");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const int error = display_.finish(
      {.result = result, .epochs = options_.epochs, .seconds = seconds, .test_accuracy = test_accuracy_, .folder = folder_.path()});
  if (error == 0) return ExitCode::done;
  return fail(ExitCode::output, fmt::format("standard output cannot be written: {}; the results are in {}",
                                            std::generic_category().message(error), folder_.path().string()));
}

ExitCode end_before_training(int signal) {
  return fail(signalled(signal), "interrupted before the first step; nothing was written");
}
