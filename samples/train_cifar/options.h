#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

/// What train_cifar was asked to do.
struct Options {
  std::filesystem::path data;  // empty: the generated set
  std::string model = "simple_cnn";
  std::optional<int> width;  // empty: the model's
  int epochs = 10;
  std::int64_t batch_size = 128;
  double lr = 1e-3;
  std::string optimizer = "adam";
  std::string schedule = "constant";
  double weight_decay = 0;
  double label_smoothing = 0;
  std::string device = "auto";
  std::string precision = "fp32";
  int threads;
  std::uint64_t seed = 0;
  std::filesystem::path out;      // empty: runs/<date-time>
  std::filesystem::path init;     // empty: fresh weights
  std::optional<int> image_size;  // empty: as they are
  bool skip_damaged = false;
  bool augment = false;
  std::optional<std::int64_t> limit;
  bool quiet = false;
};

/// The options of a command line. Prints and ends the program for --help and --version. Throws `UsageError` for what cannot be
/// meant.
Options parse_options(int argc, char** argv);
