#include "options.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <gpucnn/core/config.h>
#include <gpucnn/gpucnn.h>

#include "exit_code.h"

namespace {

const CLI::Validator kLearningRate(
    [](const std::string& text) {
      double value = 0;
      const bool good = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && value > 0;
      return good ? std::string() : fmt::format("'{}' is not a number above 0", text);
    },
    "", "learning rate");

const CLI::Validator kDevice(
    [](const std::string& text) {
      try {
        if (text != "auto") gpucnn::Device::parse(text);
        return std::string();
      } catch (const std::invalid_argument&) {
        return fmt::format("'{}' is not auto, cpu, cuda or cuda:N", text);
      }
    },
    "auto|cpu|cuda[:N]", "device");

/// A whole number from 1 to `most`.
template <class Int>
CLI::Validator at_least_one(Int most = std::numeric_limits<Int>::max()) {
  return CLI::Validator(
      [most](const std::string& text) {
        Int value = 0;
        const bool good = text.find_first_not_of("0123456789") == std::string::npos && CLI::detail::lexical_cast(text, value) &&
                          value >= 1 && value <= most;
        return good ? std::string() : fmt::format("'{}' is not a whole number from 1 to {}", text, most);
      },
      "", "count");
}

const CLI::Validator kSeed(
    [](const std::string& text) {
      std::uint64_t value = 0;
      const bool good = text.find_first_not_of("0123456789") == std::string::npos && CLI::detail::lexical_cast(text, value);
      return good ? std::string() : fmt::format("'{}' is not a whole number from 0 to 2^64 - 1", text);
    },
    "", "seed");

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options{.threads = gpucnn::num_threads()};
  std::int64_t limit = 0;
  CLI::App app("Trains SimpleCNN on CIFAR-10, or on a generated set of drawn shapes that needs no download.", "train_cifar");
  app.set_version_flag("--version", fmt::format("train_cifar {}", gpucnn::kVersion));
  app.add_option("--data", options.data, "Folder of the CIFAR-10 binary version; without it the generated set is used")
      ->type_name("DIR");
  app.add_option("--epochs", options.epochs, "How often to go through the training images")
      ->check(at_least_one<int>())
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--batch-size", options.batch_size, "Images a step")
      ->check(at_least_one<std::int64_t>())
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--lr", options.lr, "Learning rate")->check(kLearningRate)->type_name("RATE")->capture_default_str();
  app.add_option("--optimizer", options.optimizer, "adam, or sgd with momentum 0.9")
      ->check(CLI::IsMember({"adam", "sgd"}))
      ->type_name("")
      ->capture_default_str();
  app.add_option("--device", options.device, "Where to train; auto takes a usable GPU, else the CPU")
      ->check(kDevice)
      ->type_name("")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "CPU threads; the results do not depend on it")
      ->check(at_least_one(1024))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Seed of weights, order, dropout and augmentation")
      ->check(kSeed)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--out", options.out, "Folder of the results")->type_name("DIR")->default_str("runs/<date-time>");
  app.add_option("--init", options.init, "Start from the weights of this checkpoint (.safetensors)")->type_name("FILE");
  app.add_flag("--augment", options.augment, "Random crop with 4 pixels of padding, and horizontal flip");
  CLI::Option* limited = app.add_option("--limit", limit, "Use the first N training and at most N test images; default: all")
                             ->check(at_least_one<std::int64_t>())
                             ->type_name("N");
  app.add_flag("--quiet", options.quiet, "Print nothing but the last line");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    std::exit(app.exit(help_or_version));
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "train_cifar: {}\nusage: train_cifar [OPTIONS]; train_cifar --help explains them\n", error.what());
    std::exit(static_cast<int>(ExitCode::usage));
  }
  if (limited->count() > 0) options.limit = limit;
  return options;
}
