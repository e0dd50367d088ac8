#include "options.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <gpucnn/gpucnn.h>

#include "common/command_line.h"
#include "common/exit_code.h"

using command_line::add_list, command_line::add_number, command_line::add_path, command_line::add_word, command_line::read_number;
namespace fs = std::filesystem;
using command_line::kAboveZero, command_line::kBelowOne;

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

/// What goes with an optimizer, if nothing else is said. The values were the best that ten epochs of CIFAR-10 gave.
struct Recipe {
  std::string_view optimizer;
  double lr, weight_decay;
};
constexpr std::array kRecipes{Recipe{"adam", 3e-3, 0}, Recipe{"adamw", 3e-3, 0.1}, Recipe{"sgd", 0.05, 5e-4}};

const Recipe& recipe_of(const std::string& optimizer) {
  const auto* const found = std::ranges::find(kRecipes, optimizer, &Recipe::optimizer);
  if (found == kRecipes.end()) throw UsageError(fmt::format("--optimizer: '{}' is not adam, adamw or sgd", optimizer));
  return *found;
}

void check(const Options& options) {
  if (std::ranges::find(gpucnn::model_names(), options.model) == gpucnn::model_names().end()) {
    throw UsageError(fmt::format("--model: '{}' is none of {}", options.model, fmt::join(gpucnn::model_names(), ", ")));
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

void add_data(CLI::App& app, Options& options) {
  add_path(
      app, "--data",
      "CIFAR-10 or CIFAR-100 (binary version), MNIST,\nFashion-MNIST, or a folder of images, as they are\nor in train/ and test/ "
      "or val/, with a subfolder\nfor each class; every process of mpirun reads all\nof it; default: drawn shapes",
      options.data)
      ->type_name("DIR");
  add_number(app, "--image-size",
             "Bring the shorter side of a folder's images to N\npixels, and cut out their centre; default: as they are",
             options.image_size, 1, 16'384);
  app.add_flag("--skip-damaged", options.skip_damaged, "Leave out a folder's damaged images; default: off")
      ->disable_flag_override();
  add_number<std::int64_t>(app, "--limit", "Use the first N training and at most N test\nimages; default: all", options.limit, 1,
                           std::numeric_limits<std::int64_t>::max());
  add_number(app, "--validation-split",
             "Judge epochs by this part of the training images,\nas 0.1, and the best weights by the test images at\nthe end; "
             "default: epochs by the test images",
             options.validation_split, kAboveZero, kBelowOne);
  app.add_flag("--augment", options.augment, "Crop at random with 4 pixels of padding, and\nflip at random; default: off")
      ->disable_flag_override();
}

void add_model(CLI::App& app, Options& options) {
  add_word(app, "--model", model_help(), options.model);
  add_number(app, "--width", "Channels of resnet9's first convolution; default: 64", options.width, 1, 4096);
  add_path(app, "--init",
           "Start from the weights in this checkpoint, but for\nthe last layer where it has other classes;\ndefault: fresh weights",
           options.init)
      ->type_name("FILE");
  add_list(app, "--freeze",
           "Do not learn parameters with names like this, as\n'features.*'; layers of them alone keep their\nrunning statistics, "
           "too. May be given several times",
           options.freeze)
      ->type_name("PATTERN");
}

/// An empty `lr` or `weight_decay` is the optimizer's.
void add_recipe(CLI::App& app, Options& options, std::optional<double>& lr, std::optional<double>& weight_decay) {
  constexpr double kMax = std::numeric_limits<float>::max();
  add_number(app, "--epochs", "How often to go through the training images", options.epochs, 1, 1'000'000);
  add_number(app, "--early-stop", "End after N epochs without a better accuracy;\ndefault: never", options.early_stop, 1,
             1'000'000);
  add_number<std::int64_t>(app, "--batch-size", "Images in a step", options.batch_size, 1,
                           std::numeric_limits<std::int64_t>::max());
  add_number(app, "--lr", "Learning rate; default: 0.003, with sgd 0.05", lr, kAboveZero, kMax);
  add_word(app, "--optimizer", "adam, adamw, or sgd with momentum 0.9", options.optimizer);
  add_word(app, "--schedule", "Of the learning rate: constant, or onecycle: up to\n--lr and down to almost 0", options.schedule);
  add_number(app, "--weight-decay",
             "Weights' part in their gradients, or of adamw in\ntheir step; default: 0.1, with sgd 0.0005, with\nadam 0",
             weight_decay, 0.0, 1.0);
  add_number(app, "--label-smoothing", "Probability shared out among all classes while\nlearning", options.label_smoothing, 0.0,
             1.0);
  add_number(app, "--ema",
             "Judge and save an average of the weights over the\nsteps, of which each keeps this part, as 0.999;\ndefault: none",
             options.ema, 0.0, 1.0);
  add_number(app, "--clip-grad-norm", "Scale the gradients of a step so that their 2-norm is\nat most N; default: as they are",
             options.clip_grad_norm, kAboveZero, kMax);
  app.add_flag("--sync-batch-norm", options.sync_batch_norm,
               "Normalise batches by the images of all processes\nthat mpirun started; default: each by its own")
      ->disable_flag_override();
  add_number<std::uint64_t>(app, "--seed", "Seed of weights, order, dropout, --augment and\n--validation-split", options.seed, 0,
                            std::numeric_limits<std::uint64_t>::max());
}

void add_machine(CLI::App& app, Options& options) {
  command_line::add_device(app, options.device);
  add_word(app, "--precision", "fp32; on a GPU tf32 and bf16 are faster and\nless exact. Newer CPUs have bf16, too",
           options.precision);
  add_number(app, "--threads", "CPU threads; the results do not depend on it", options.threads, 1, 1024);
}

/// What is done instead of training.
void add_tasks(CLI::App& app, Options& options) {
  const auto add = [&](const char* name, Task task, const char* help) {
    const auto choose = [&options, name, task](std::int64_t) {
      if (options.task != Task::train)
        throw UsageError(fmt::format("{}: only one of --eval-only, --overfit-batch and --find-lr", name));
      options.task = task;
    };
    app.add_flag_function(name, choose, help)->disable_flag_override();
  };
  add("--eval-only", Task::evaluate, "Only judge the weights of --init by the test images;\ndefault: off");
  add("--overfit-batch", Task::overfit_batch,
      "Only learn one batch by heart, as a check that model,\ndata and --lr can learn; default: off");
  add("--find-lr", Task::find_lr,
      "Only look for the learning rate at which the loss\nfalls fastest; with --out also draw it; default: off");
}

void add_folder(CLI::App& app, Options& options) {
  add_path(app, "--out", "Folder for the results", options.out)->default_str("runs/<date-time>")->type_name("DIR");
  app.add_flag("--resume", options.resume, "Go on with the run in the folder --out, with its\noptions, or begin it; default: off")
      ->disable_flag_override();
  app.add_flag("--overwrite", options.overwrite, "Remove the results in the folder --out; default: off")->disable_flag_override();
  add_save_every(app, options.save_every);
  add_number(app, "--keep", "States to keep, the newest and those before it", options.keep, 1, 1'000'000);
  app.add_flag("--tensorboard", options.tensorboard,
               "Write event files for TensorBoard into the folder,\ntoo: tensorboard --logdir runs; default: off")
      ->disable_flag_override();
  add_path(app, "--config", "Take options from this file, as a run writes it as\nconfig.json; those of the command line count more",
           options.config)
      ->type_name("FILE");
}

/// Whether a file, or what it is a link to, lies in a folder.
bool lies_in(const fs::path& file, const fs::path& folder) {
  std::error_code ignored;
  const fs::path named = fs::absolute(file, ignored).parent_path(), real = fs::canonical(file, ignored).parent_path();
  return fs::equivalent(named, folder, ignored) || fs::equivalent(real, folder, ignored);
}

}  // namespace

Options parse_options(const std::vector<std::string>& words) {
  Options options{.threads = gpucnn::num_threads()};
  std::optional<double> lr, weight_decay;
  CLI::App app("Trains a model on a folder of images, or on drawn shapes, which need no download.", program_name());
  command_line::add_help(app);
  add_data(app, options);
  add_model(app, options);
  add_recipe(app, options, lr, weight_decay);
  add_machine(app, options);
  add_folder(app, options);
  add_tasks(app, options);
  app.add_flag("--quiet", options.quiet, "Print the last line only; default: off")->disable_flag_override();
  app.footer(
      "Exit codes: 0 done, 2 wrong option, 3 no such device, 4 data missing or damaged,\n"
      "5 results cannot be written, the folder holds results or another run has it,\n"
      "or a checkpoint is damaged or of another run, 6 loss not finite, 7 out of\n"
      "memory, 8 a check found that nothing is learned; 130 Ctrl-C, 143 SIGTERM,\n"
      "129 SIGHUP (--resume goes on from there)");
  command_line::parse(app, words);
  check(options);
  const Recipe& recipe = recipe_of(options.optimizer);
  options.lr = lr.value_or(recipe.lr);
  options.weight_decay = weight_decay.value_or(recipe.weight_decay);
  if (options.resume && options.overwrite) throw UsageError("--overwrite: cannot be meant with --resume");
  if (options.resume && options.task != Task::train) throw UsageError("--resume: is for a training");
  if (options.resume && options.out.empty()) throw UsageError("--resume: needs the folder of the run (--out)");
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() > 0) options.given.push_back(option->get_name());
  }
  return options;
}

UsedFolder use_of(const Options& options) {
  if (options.resume) return UsedFolder::resume;
  return options.overwrite ? UsedFolder::overwrite : UsedFolder::refuse;
}

void require_complete(const Options& options) {
  if (options.task == Task::evaluate && options.init.empty()) throw UsageError("--eval-only: needs weights (--init)");
  if (options.data.empty() && (options.image_size || options.skip_damaged)) {
    throw UsageError(fmt::format("{}: is for a folder of images (--data)", options.image_size ? "--image-size" : "--skip-damaged"));
  }
  if (options.overwrite && lies_in(options.init, options.out)) {
    throw UsageError(fmt::format("--overwrite: would remove the results that --init {} is one of", options.init.string()));
  }
}
