#include "session.h"

#include <system_error>

#include <fmt/format.h>

#include "common/command_line.h"
#include "common/stop_signal.h"
#include "config.h"
#include "data.h"
#include "initial_state.h"
#include "machine.h"

using namespace gpucnn;

namespace {

std::unique_ptr<Sequential> make_network(const Options& options, const OpenedDataset& data) {
  try {
    return make_model(options.model, data.train->image_shape(), static_cast<int>(data.class_names.size()), options.width);
  } catch (const std::invalid_argument& error) {  // images that are too small for it, or a width that it has not
    throw UsageError(fmt::format("--model: {}", error.what()));
  }
}

std::unique_ptr<Optimizer> make_optimizer(const Options& options, Module& model) {
  if (options.optimizer == "sgd")
    return std::make_unique<SGD>(model.parameters(),
                                 SGDOptions{.lr = options.lr, .momentum = 0.9, .weight_decay = options.weight_decay});
  return std::make_unique<Adam>(model.parameters(), AdamOptions{.lr = options.lr, .weight_decay = options.weight_decay});
}

/// Null: the rate stays. A run without a batch is refused by `fit`.
std::unique_ptr<LRScheduler> make_schedule(const Options& options, Optimizer& optimizer, const DataLoader& train) {
  if (options.schedule == "constant" || train.size() == 0) return nullptr;
  return std::make_unique<OneCycleLR>(
      optimizer, OneCycleLROptions{.max_lr = options.lr, .total_steps = options.epochs * train.size(), .cycle_momentum = false});
}

std::string place_of(const RunPosition& position, int epochs) {
  const std::string steps = position.batches > 0 ? fmt::format(" and {} steps", position.batches) : "";
  return fmt::format("{} of {} epochs{}", position.epoch, epochs, steps);
}

/// With what the parts are made. All threads of this process are the training's.
Device prepare(const Options& options, std::string& why) {
  set_num_threads(options.threads);
  set_core_migration(true);
  return command_line::choose_device(options.device, &why);
}

ExitCode signalled() { return static_cast<ExitCode>(128 + stop_signal()); }

}  // namespace

Session::Session(const Options& options, RunFolder& folder)
    : options_(options),
      folder_(folder),
      device_(prepare(options, why_)),
      precision_(choose_precision(options, device_, why_)),
      data_(load_data(options)),
      title_(options.model == "simple_cnn" ? "SimpleCNN" : options.model),
      model_(make_network(options, data_)),
      optimizer_((model_->init(options.seed).to(device_).set_precision(precision_), make_optimizer(options, *model_))),
      test_images_(on_device(data_.test, device_)),
      train_(on_device(data_.train, device_), train_options(options, data_, device_)),
      test_(test_images_, test_options(options, data_, device_)),
      judged_(test_images_, test_options(options, data_, device_)),
      schedule_(make_schedule(options, *optimizer_, train_)),
      loss_({.label_smoothing = options.label_smoothing}),
      report_({.title = fmt::format("{} on {}", title_, data_.name),
               .class_names = data_.class_names,
               .epochs = options.epochs,
               .configuration = rows_of(options, data_, device_),
               .machine = machine_rows(options.threads, why_)}),
      display_(options.quiet),
      times_(options.save_every, options.epochs) {
  if (options.ema) ema_.emplace(*model_, ExponentialMovingAverageOptions{.decay = *options.ema});
  parts_.emplace(RunParts{.model = *model_,
                          .optimizer = *optimizer_,
                          .train = &train_,
                          .test = &test_,
                          .scheduler = schedule_.get(),
                          .ema = ema_ ? &*ema_ : nullptr});
  take_up();
}

/// Where the run begins: with the state of the folder, with the weights of --init, or with fresh ones.
void Session::take_up() {
  const auto state = options_.resume ? folder_.find("state.safetensors") : std::nullopt;
  resumes_ = state.has_value();
  if (resumes_) {
    begin_ = load_run(*state, *parts_, identity_of(options_, data_));
    if (begin_.epoch > options_.epochs) {
      throw CheckpointError(
          fmt::format("--epochs {}: the run in {} has done {}", options_.epochs, folder_.path().string(), begin_.epoch));
    }
  } else if (!options_.init.empty()) {
    load_weights(options_.init, title_, *model_);
  }
}

ExitCode Session::operator()() {
  if (stop_signal() != 0) return fail(signalled(), "interrupted before the first step; nothing was written");
  if (begin_.epoch == options_.epochs) return end_done({.epochs = {}, .stopped = false, .position = begin_});
  open_folder();
  announce();
  const FitResult result = train();
  display_.end_line();
  return result.stopped ? end_stopped(result.position) : end_done(result);
}

/// A run that is killed before its first epoch has a state, too.
void Session::open_folder() {
  const std::string config = config_of(options_, data_, device_);
  const RunFolder::Texts texts{config, identity_of(options_, data_), metadata_of(options_, data_)};
  if (resumes_) {
    folder_.resume(texts, begin_);
    for (const EpochNumbers& epoch : folder_.epochs()) report_.add(epoch);
    return;
  }
  folder_.begin(texts);
  folder_.save_state(*parts_, begin_, /*keep=*/1);
}

void Session::announce() {
  const std::string where = options_.data.empty() ? "" : fmt::format(" in {}", options_.data.string());
  display_.start(fmt::format("{} on {}{}: {} training and {} test images", title_, data_.name, where, data_.train->size(),
                             data_.test->size()));
  if (!data_.damaged.empty()) {
    display_.start(fmt::format("{} damaged image{} left out, the first: {}", data_.damaged.size(),
                               data_.damaged.size() == 1 ? "" : "s", data_.damaged.front().reason));
  }
  if (data_.left_out > 0) {
    display_.start(
        fmt::format("{} file{} left out, whose names are not those of images", data_.left_out, data_.left_out == 1 ? "" : "s"));
  }
  display_.start(fmt::format("{} thread{}; {}", options_.threads, options_.threads == 1 ? "" : "s", why_));
  if (resumes_) display_.start(fmt::format("going on after {}", place_of(begin_, options_.epochs)));
}

FitResult Session::train() {
  bool has_trained = false;  // which a first loss that is not finite prevents
  try {
    return fit(*model_, *optimizer_, loss_, train_, test_,
               {.epochs = options_.epochs,
                .on_step =
                    [&](const Progress& progress) {
                      has_trained = true;
                      display_.progress(progress);
                    },
                .on_epoch = [this](const EpochResult& epoch) { add(epoch); },
                .stop = [] { return stop_signal() != 0; },
                .start = begin_,
                .save = [this](const RunPosition& position) { save(position); },
                .save_due = [this] { return times_.now(); },
                .scheduler = schedule_.get(),
                .schedule_every = Every::step,
                .step = {.clip_grad_norm = options_.clip_grad_norm, .ema = parts_->ema}});
  } catch (const NonFiniteLoss& error) {
    if (options_.init.empty() || resumes_ || has_trained || error.step() > 1) throw;
    throw CheckpointError(fmt::format("{}: its weights give a loss that is not finite{}", options_.init.string(), kInitAdvice));
  }
}

/// What is judged is what is saved.
void Session::add(const EpochResult& epoch) {
  std::optional<ExponentialMovingAverage::Applied> averaged;
  if (ema_) averaged.emplace(*ema_);
  folder_.add(epoch, *model_);
  report_.add(epoch);
  if (epoch.best || report_.examination().classes == 0) report_.look_at(*model_, judged_);
  folder_.save_report(report_.html());
  display_.epoch(epoch, options_.epochs);
}

void Session::save(const RunPosition& position) {
  if (!times_.at(position)) return;
  folder_.save_state(*parts_, position, options_.keep);
  times_.saved();
}

ExitCode Session::end_stopped(const RunPosition& position) {
  folder_.save_state(*parts_, position, options_.keep);
  std::optional<ExponentialMovingAverage::Applied> averaged;
  if (ema_) averaged.emplace(*ema_);
  const std::filesystem::path last = folder_.save_last(*model_);
  return fail(signalled(), fmt::format("interrupted after {}; the weights are in {}; --resume goes on from there",
                                       place_of(position, options_.epochs), last.string()));
}

ExitCode Session::end_done(const FitResult& result) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const int error = display_.finish(result, seconds, folder_.path());
  if (error == 0) return ExitCode::done;
  return fail(ExitCode::output, fmt::format("standard output cannot be written: {}; the results are in {}",
                                            std::generic_category().message(error), folder_.path().string()));
}
