#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/run_folder.h"

/// How often a state is saved: after so many epochs, or when so many minutes have passed.
struct SaveEvery {
  int epochs = 1;                 // 0: by minutes
  std::optional<double> minutes;  // empty: by epochs
};

/// What is done with the model.
enum class Task { train, evaluate, overfit_batch, find_lr };

/// What train_cifar was asked to do.
struct Options {
  Task task = Task::train;
  std::filesystem::path config;            // empty: none
  std::filesystem::path data;              // empty: the generated set
  std::optional<double> validation_split;  // empty: epochs are judged by the test images
  std::string model = "simple_cnn";
  std::optional<int> width;  // empty: the model's
  int epochs = 10;
  std::optional<int> early_stop;  // epochs without a better accuracy; empty: never
  std::int64_t batch_size = 128;
  std::string optimizer = "adamw";
  double lr, weight_decay;  // the optimizer's, unless they are given
  std::string schedule = "onecycle";
  double label_smoothing = 0.1;
  std::optional<double> ema;             // decay; empty: no average
  std::optional<double> clip_grad_norm;  // empty: as they are
  std::string device = "auto";
  std::string precision = "fp32";
  int threads;
  std::uint64_t seed = 0;
  std::filesystem::path out;        // empty: runs/<date-time>
  std::filesystem::path init;       // empty: fresh weights
  std::vector<std::string> freeze;  // patterns of parameters' names
  std::optional<int> image_size;    // empty: as they are
  bool skip_damaged = false;
  bool augment = false;
  std::optional<std::int64_t> limit;
  bool resume = false, overwrite = false;
  SaveEvery save_every;
  int keep = 1;  // states
  bool tensorboard = false;
  bool quiet = false;
  bool sync_batch_norm = false;
  int world = 1;                   // processes that train together; no option
  std::vector<std::string> given;  // the options of the command line, as --epochs
};

/// What a command line says, without the program's name. Prints and ends the program for --help and --version. Throws
/// `UsageError` for a value that no option has, and for options that exclude each other.
Options parse_options(const std::vector<std::string>& words);

/// What is to become of results in the folder --out.
UsedFolder use_of(const Options& options);

/// Throws `UsageError` for options that make no sense without others, or with them, which may have come from a file.
void require_complete(const Options& options);
