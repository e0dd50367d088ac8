#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "common/display.h"
#include "common/exit_code.h"
#include "common/run_folder.h"
#include "common/stop_signal.h"
#include "config.h"
#include "options.h"

using namespace gpucnn;

namespace {

/// A file must not be opened in place of a closed standard output or error: what is printed would go into it.
void open_standard_files() {
  int fd = 0;
  while ((fd >= 0 && fd <= STDERR_FILENO) || (fd < 0 && errno == EINTR)) fd = open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) close(fd);
}

Device choose_device(const std::string& text, std::string& why) {
  if (text == "auto") return Device::best(&why);
  const Device device = Device::parse(text);
  try {
    device.require();
  } catch (const DeviceError& error) {
    throw DeviceError(fmt::format("{}; --device cpu always can", error.what()));
  }
  why = fmt::format("using {}, as asked", device.string());
  return device;
}

OpenedDataset open_folder(const Options& options) try {
  return open_dataset(options.data,
                      {.limit = options.limit, .image_size = options.image_size, .skip_damaged = options.skip_damaged});
} catch (const std::invalid_argument& error) {  // an option that is not for this kind of folder, or images of several sizes
  const std::string what = error.what();
  const bool needs_size = what.find("resize") != std::string::npos || what.find("image_size") != std::string::npos;
  throw UsageError(fmt::format("--data: {}{}", what, needs_size ? " (--image-size)" : ""));
}

OpenedDataset load(const Options& options) {
  if (!options.data.empty()) return open_folder(options);
  constexpr std::int64_t kTrain = 10'000, kTest = 2'000;
  const std::int64_t limit = options.limit.value_or(kTrain);
  DatasetSplits shapes = make_shapes(std::min(kTrain, limit), std::min(kTest, limit));
  return {.name = "drawn shapes",
          .train = std::make_shared<const TensorDataset>(std::move(shapes.train)),
          .test = std::make_shared<const TensorDataset>(std::move(shapes.test)),
          .class_names = std::move(shapes.class_names),
          .normalize = {{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}}};  // CIFAR-10's: a network of one takes the other
}

/// Images that lie in memory lie on a GPU as bytes, and no batch crosses the bus.
std::shared_ptr<const Dataset> on_device(const std::shared_ptr<const Dataset>& dataset, Device device) {
  const auto* tensors = dynamic_cast<const TensorDataset*>(dataset.get());
  return tensors ? std::make_shared<const TensorDataset>(tensors->to(device)) : dataset;
}

std::unique_ptr<Sequential> make_network(const Options& options, const OpenedDataset& data) {
  try {
    return make_model(options.model, data.train->image_shape(), static_cast<int>(data.class_names.size()), options.width);
  } catch (const std::invalid_argument& error) {  // images that are too small for it, or a width that it has not
    throw UsageError(fmt::format("--model: {}", error.what()));
  }
}

/// Files are read and decoded while a step is made, a few batches ahead, which may be large; what lies in memory needs nobody to
/// fetch it.
int workers(const Dataset& dataset, const Options& options) {
  constexpr int kMaxWorkers = 4;
  return dynamic_cast<const TensorDataset*>(&dataset) ? 0 : std::min(options.threads, kMaxWorkers);
}

/// BatchNorm has no spread to divide by in a batch of one image, which a whole epoch would end in.
bool is_last_alone(const Dataset& dataset, std::int64_t batch_size) {
  return dataset.size() > batch_size && dataset.size() % batch_size == 1;
}

DataLoaderOptions train_options(const Options& options, const OpenedDataset& data, Device device) {
  return {.batch_size = options.batch_size,
          .shuffle = true,
          .drop_last = is_last_alone(*data.train, options.batch_size),
          .seed = options.seed,
          .normalize = data.normalize,
          .crop_padding = options.augment ? 4 : 0,
          .flip = options.augment,
          .device = device,
          .num_workers = workers(*data.train, options),
          .prefetch_factor = 1};
}

DataLoaderOptions test_options(const Options& options, const OpenedDataset& data, Device device) {
  const int num_workers = workers(*data.test, options);
  return {.batch_size = num_workers > 0 ? options.batch_size : 512,
          .normalize = data.normalize,
          .device = device,
          .num_workers = num_workers,
          .prefetch_factor = 1};
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

constexpr const char* kInitAdvice = "; give --init a checkpoint that train_cifar wrote";

/// Weights that are no numbers would show as a loss that is none, whose cause would be looked for elsewhere.
void require_finite(const StateDict& state, const std::filesystem::path& file) {
  for (const auto& [name, tensor] : state) {
    if (tensor.dtype() != DType::f32) continue;
    const std::vector<float> values = tensor.to_vector<float>();
    const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    if (bad == values.end()) continue;
    throw CheckpointError(fmt::format("{}: tensor {} holds {}, so the run that wrote it had failed", file.string(), name, *bad));
  }
}

/// Starts from the weights that another run has saved.
void load_weights(const std::filesystem::path& file, const std::string& name, Module& model) {
  try {
    const StateDict state = load_safetensors(file).first;
    model.load_state_dict(state);
    require_finite(state, file);
  } catch (const DataError& error) {
    throw CheckpointError(fmt::format("{}{}", error.what(), kInitAdvice));
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(fmt::format("{}: holds no {}: {}{}", file.string(), name, error.what(), kInitAdvice));
  }
}

/// Takes a run up where its state says.
RunPosition load_run(const std::filesystem::path& file, const RunParts& parts) {
  try {
    const RunPosition position = load_checkpoint(file, parts).position;
    require_finite(parts.model.state_dict().with_prefix("model."), file);
    require_finite(parts.optimizer.state_dict().with_prefix("optimizer."), file);
    if (parts.ema) require_finite(parts.ema->state_dict().with_prefix("ema."), file);
    return position;
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(error.what());
  }
}

Precision choose_precision(const Options& options, Device device, const std::string& why) {
  const Precision precision = parse_precision(options.precision);
  try {
    require_precision(precision, device);
  } catch (const DeviceError& error) {
    throw DeviceError(fmt::format("{} ({}); --precision fp32 always can", error.what(), why));
  }
  return precision;
}

void announce(Display& display, const Options& options, const OpenedDataset& data, const std::string& title,
              const std::string& why) {
  const std::string where = options.data.empty() ? "" : fmt::format(" in {}", options.data.string());
  display.start(
      fmt::format("{} on {}{}: {} training and {} test images", title, data.name, where, data.train->size(), data.test->size()));
  if (!data.damaged.empty()) {
    display.start(fmt::format("{} damaged image{} left out, the first: {}", data.damaged.size(),
                              data.damaged.size() == 1 ? "" : "s", data.damaged.front().reason));
  }
  if (data.left_out > 0) {
    display.start(
        fmt::format("{} file{} left out, whose names are not those of images", data.left_out, data.left_out == 1 ? "" : "s"));
  }
  display.start(fmt::format("{} thread{}; {}", options.threads, options.threads == 1 ? "" : "s", why));
}

/// Says when a state is to be saved.
class SaveTimes {
 public:
  SaveTimes(const SaveEvery& every, int epochs) : every_(every), epochs_(epochs) {}

  /// Amid an epoch.
  bool now() const {
    if (!every_.minutes) return false;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - last_).count() >= *every_.minutes * 60;
  }
  bool at(const RunPosition& position) const {
    const bool ends_epoch = position.batches == 0;
    return now() || (ends_epoch && (position.epoch == epochs_ || (every_.epochs > 0 && position.epoch % every_.epochs == 0)));
  }
  void saved() { last_ = std::chrono::steady_clock::now(); }

 private:
  SaveEvery every_;
  int epochs_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

std::string place_of(const RunPosition& position, int epochs) {
  const std::string steps = position.batches > 0 ? fmt::format(" and {} steps", position.batches) : "";
  return fmt::format("{} of {} epochs{}", position.epoch, epochs, steps);
}

ExitCode end_stopped(const RunFolder& folder, Module& model, const RunParts& parts, const RunPosition& position,
                     const Options& options) {
  std::filesystem::path last;
  {
    std::optional<ExponentialMovingAverage::Applied> averaged;
    if (parts.ema) averaged.emplace(*parts.ema);
    last = folder.save_last(model);
  }
  folder.save_state(parts, position, options.keep);
  return fail(static_cast<ExitCode>(128 + stop_signal()),
              fmt::format("interrupted after {}; the weights are in {}; --resume goes on from there",
                          place_of(position, options.epochs), last.string()));
}

ExitCode run(const Options& options, RunFolder& folder) {
  const auto start = std::chrono::steady_clock::now();
  set_num_threads(options.threads);
  set_core_migration(true);  // all threads of this process are the training's
  std::string why;
  const Device device = choose_device(options.device, why);
  const Precision precision = choose_precision(options, device, why);
  const OpenedDataset data = load(options);
  const std::string title = options.model == "simple_cnn" ? "SimpleCNN" : options.model;
  const std::optional<std::filesystem::path> state = options.resume ? folder.find("state.safetensors") : std::nullopt;

  const std::unique_ptr<Sequential> network = make_network(options, data);
  Module& model = *network;
  model.init(options.seed).to(device).set_precision(precision);
  if (!options.init.empty() && !state) load_weights(options.init, title, model);
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(options, model);
  DataLoader train(on_device(data.train, device), train_options(options, data, device));
  DataLoader test(on_device(data.test, device), test_options(options, data, device));
  const std::unique_ptr<LRScheduler> schedule = make_schedule(options, *optimizer, train);
  std::optional<ExponentialMovingAverage> ema;
  if (options.ema) ema.emplace(model, ExponentialMovingAverageOptions{.decay = *options.ema});
  CrossEntropyLoss loss({.label_smoothing = options.label_smoothing});
  const RunParts parts{.model = model,
                       .optimizer = *optimizer,
                       .train = &train,
                       .test = &test,
                       .scheduler = schedule.get(),
                       .ema = ema ? &*ema : nullptr};
  const RunPosition begin = state ? load_run(*state, parts) : RunPosition{};
  if (stop_signal() != 0) {
    return fail(static_cast<ExitCode>(128 + stop_signal()), "interrupted before the first step; nothing was written");
  }
  const std::string config = config_of(options, data, device);
  if (state) {
    folder.resume(config, metadata_of(options, data), begin);
  } else {
    folder.begin(config, metadata_of(options, data));
  }

  Display display(options.quiet);
  announce(display, options, data, title, why);
  if (state) display.start(fmt::format("going on after {}", place_of(begin, options.epochs)));
  const auto add = [&](const EpochResult& epoch) {
    std::optional<ExponentialMovingAverage::Applied> averaged;
    if (ema) averaged.emplace(*ema);
    folder.add(epoch, model);
    display.epoch(epoch, options.epochs);
  };
  SaveTimes times(options.save_every, options.epochs);
  const auto save = [&](const RunPosition& position) {
    if (!times.at(position)) return;
    folder.save_state(parts, position, options.keep);
    times.saved();
  };
  bool has_trained = false;  // which a first loss that is not finite prevents
  const auto train_all = [&] {
    try {
      return fit(model, *optimizer, loss, train, test,
                 {.epochs = options.epochs,
                  .on_step =
                      [&](const Progress& progress) {
                        has_trained = true;
                        display.progress(progress);
                      },
                  .on_epoch = add,
                  .stop = [] { return stop_signal() != 0; },
                  .start = begin,
                  .save = save,
                  .save_due = [&] { return times.now(); },
                  .scheduler = schedule.get(),
                  .schedule_every = Every::step,
                  .step = {.ema = parts.ema}});
    } catch (const NonFiniteLoss& error) {
      if (options.init.empty() || state || has_trained || error.step() > 1) throw;
      throw CheckpointError(fmt::format("{}: its weights give a loss that is not finite{}", options.init.string(), kInitAdvice));
    }
  };
  const FitResult result = train_all();
  display.end_line();
  if (result.stopped) return end_stopped(folder, model, parts, result.position, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const int error = display.finish(result, seconds, folder.path());
  if (error == 0) return ExitCode::done;
  return fail(ExitCode::output, fmt::format("standard output cannot be written: {}; the results are in {}",
                                            std::generic_category().message(error), folder.path().string()));
}

UsedFolder use_of(const Options& options) {
  if (options.resume) return UsedFolder::resume;
  return options.overwrite ? UsedFolder::overwrite : UsedFolder::refuse;
}

/// Of words without the program's name.
ExitCode run(const std::vector<std::string>& words) {
  Options options = parse_options(words);
  RunFolder folder(options.out, use_of(options));
  if (const auto config = options.resume ? folder.find("config.json") : std::nullopt) options = resumed_options(words, *config);
  return run(options, folder);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_files();
  handle_stop_signals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too long is an error like a full disk
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away does not end hours of training
  try {
    return static_cast<int>(run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc)));
  } catch (...) {
    return static_cast<int>(fail_as_caught());
  }
}
