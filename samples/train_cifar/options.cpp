#include "options.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <gpucnn/gpucnn.h>

#include "common/command_line.h"
#include "common/exit_code.h"

using command_line::add_number, command_line::add_path, command_line::add_word, command_line::read_number;

namespace {

/// "5" is epochs, "10m" minutes.
CLI::Option* add_save_every(CLI::App& app, SaveEvery& every) {
  const auto read = [&every](const std::string& text) {
    double minutes = 0;
    if (int epochs = 0; read_number(text, epochs) && epochs >= 1) {
      every = {.epochs = epochs};
    } else if (text.ends_with('m') && read_number(text.substr(0, text.size() - 1), minutes) && minutes > 0 && minutes <= 1e6) {
      every = {.epochs = 0, .minutes = minutes};
    } else {
      throw UsageError(fmt::format("--save-every: '{}' is no number of epochs, as 5, or of minutes, as 10m", text));
    }
  };
  return app
      .add_option_function<std::string>(
          "--save-every", read,
          "Save a state for --resume every N epochs, or every\nN minutes with 10m; the last epoch has one, too")
      ->type_name("N")
      ->default_str("1");
}

/// The models by name, in lines that --help has room for.
std::string model_help() {
  constexpr std::size_t kColumns = 48;
  std::string help, line = "One of";
  for (const std::string_view name : gpucnn::model_names()) {
    if (line.size() + 1 + name.size() > kColumns) help += std::exchange(line, "") + '\n';
    if (!line.empty()) line += ' ';
    line += name;
  }
  return help + line;
}

void check(const Options& options) {
  if (std::ranges::find(gpucnn::model_names(), options.model) == gpucnn::model_names().end()) {
    throw UsageError(fmt::format("--model: '{}' is none of {}", options.model, fmt::join(gpucnn::model_names(), ", ")));
  }
  if (options.optimizer != "adam" && options.optimizer != "sgd") {
    throw UsageError(fmt::format("--optimizer: '{}' is not adam or sgd", options.optimizer));
  }
  if (options.schedule != "constant" && options.schedule != "onecycle") {
    throw UsageError(fmt::format("--schedule: '{}' is not constant or onecycle", options.schedule));
  }
  command_line::check_device(options.device);
  try {
    gpucnn::parse_precision(options.precision);
  } catch (const std::invalid_argument& error) {
    throw UsageError(fmt::format("--precision: {}", error.what()));
  }
}

/// An image_size or width of 0 is none.
void add_data_and_model(CLI::App& app, Options& options, int& image_size, int& width) {
  add_path(
      app, "--data",
      "CIFAR-10 or CIFAR-100 (binary version), MNIST,\nFashion-MNIST, or a folder of images, as they are\nor in train/ and test/ "
      "or val/, with a subfolder\nfor each class; default: drawn shapes",
      options.data)
      ->type_name("DIR");
  add_number(app, "--image-size",
             "Bring the shorter side of a folder's images to N\npixels, and cut out their centre; default: as they are", image_size,
             1, 16'384)
      ->default_str("");
  app.add_flag("--skip-damaged", options.skip_damaged, "Leave out a folder's damaged images; default: off")
      ->disable_flag_override();
  add_word(app, "--model", model_help(), options.model);
  add_number(app, "--width", "Channels of resnet9's first convolution; default: 64", width, 1, 4096)->default_str("");
}

/// An `ema` below 0 is none, a clip_grad_norm of 0 too.
void add_recipe(CLI::App& app, Options& options, double& ema, double& clip_grad_norm) {
  add_word(app, "--optimizer", "adam, or sgd with momentum 0.9", options.optimizer);
  add_word(app, "--schedule", "Of the learning rate: constant, or onecycle: up to\n--lr and down to almost 0", options.schedule);
  add_number(app, "--weight-decay", "Weights' part in their gradients", options.weight_decay, 0.0, 1.0);
  add_number(app, "--label-smoothing", "Probability shared out among all classes", options.label_smoothing, 0.0, 1.0);
  add_number(app, "--ema",
             "Judge and save an average of the weights over the\nsteps, of which each keeps this part, as 0.999;\ndefault: none",
             ema, 0.0, 1.0)
      ->default_str("");
  add_number(app, "--clip-grad-norm", "Scale the gradients of a step so that their 2-norm is\nat most N; default: as they are",
             clip_grad_norm, double{std::numeric_limits<float>::min()}, double{std::numeric_limits<float>::max()})
      ->default_str("");
}

}  // namespace

Options parse_options(const std::vector<std::string>& words) {
  constexpr auto kMaxImages = std::numeric_limits<std::int64_t>::max();
  Options options{.threads = gpucnn::num_threads()};
  std::int64_t limit = 0;
  int image_size = 0, width = 0;
  double ema = -1, clip_grad_norm = 0;
  CLI::App app("Trains a model on a folder of images, or on drawn shapes, which need no download.", program_name());
  command_line::add_help(app);
  add_data_and_model(app, options, image_size, width);
  add_number(app, "--epochs", "How often to go through the training images", options.epochs, 1, 1'000'000);
  add_number<std::int64_t>(app, "--batch-size", "Images in a step", options.batch_size, 1, kMaxImages);
  add_number(app, "--lr", "Learning rate", options.lr, double{std::numeric_limits<float>::min()},
             double{std::numeric_limits<float>::max()});
  add_recipe(app, options, ema, clip_grad_norm);
  command_line::add_device(app, options.device);
  add_word(app, "--precision", "fp32; on a GPU tf32 and bf16 are faster and\nless exact. Newer CPUs have bf16, too",
           options.precision);
  add_number(app, "--threads", "CPU threads; the results do not depend on it", options.threads, 1, 1024);
  add_number<std::uint64_t>(app, "--seed", "Seed of weights, order, dropout and --augment", options.seed, 0,
                            std::numeric_limits<std::uint64_t>::max());
  add_path(app, "--out", "Folder for the results", options.out)->default_str("runs/<date-time>")->type_name("DIR");
  app.add_flag("--resume", options.resume, "Go on with the run in the folder --out, with its\noptions, or begin it; default: off")
      ->disable_flag_override();
  app.add_flag("--overwrite", options.overwrite, "Remove the results in the folder --out; default: off")->disable_flag_override();
  add_save_every(app, options.save_every);
  add_number(app, "--keep", "States to keep, the newest and those before it", options.keep, 1, 1'000'000);
  add_path(app, "--init", "Start from the weights in this checkpoint;\ndefault: fresh weights", options.init)->type_name("FILE");
  app.add_flag("--augment", options.augment, "Crop at random with 4 pixels of padding, and\nflip at random; default: off")
      ->disable_flag_override();
  add_number<std::int64_t>(app, "--limit", "Use the first N training and at most N test\nimages; default: all", limit, 1,
                           kMaxImages)
      ->default_str("");
  app.add_flag("--quiet", options.quiet, "Print the last line only; default: off")->disable_flag_override();
  app.footer(
      "Exit codes: 0 done, 2 wrong option, 3 no such device, 4 data missing or damaged,\n"
      "5 results cannot be written, the folder holds results or another run has it,\n"
      "or a checkpoint is damaged or of another run, 6 loss not finite, 7 out of\n"
      "memory; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP (--resume goes on from there)");
  command_line::parse(app, words);
  check(options);
  if (limit > 0) options.limit = limit;
  // Of a run that goes on, config.json has the rest of the options.
  if (!options.resume && options.data.empty() && (image_size > 0 || options.skip_damaged)) {
    throw UsageError(fmt::format("{}: is for a folder of images (--data)", image_size > 0 ? "--image-size" : "--skip-damaged"));
  }
  if (image_size > 0) options.image_size = image_size;
  if (width > 0) options.width = width;
  if (ema >= 0) options.ema = ema;
  if (clip_grad_norm > 0) options.clip_grad_norm = clip_grad_norm;
  if (options.resume && options.overwrite) throw UsageError("--overwrite: cannot be meant with --resume");
  if (options.resume && options.out.empty()) throw UsageError("--resume: needs the folder of the run (--out)");
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() > 0) options.given.push_back(option->get_name());
  }
  return options;
}
