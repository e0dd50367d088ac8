#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// How often a state is saved: after so many epochs, or when so many minutes have passed.
struct SaveEvery {
  int epochs = 1;                 // 0: by minutes
  std::optional<double> minutes;  // empty: by epochs
};

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
  std::optional<double> ema;             // decay; empty: no average
  std::optional<double> clip_grad_norm;  // empty: as they are
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
  bool resume = false, overwrite = false;
  SaveEvery save_every;
  int keep = 1;  // states
  bool quiet = false;
  std::vector<std::string> given;  // the options of the command line, as --epochs
};

/// The options of a command line, without the program's name. Prints and ends the program for --help and --version. Throws
/// `UsageError` for what cannot be meant.
Options parse_options(const std::vector<std::string>& words);
