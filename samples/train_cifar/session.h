#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <gpucnn/gpucnn.h>

#include "common/exit_code.h"
#include "common/run_folder.h"
#include "common/terminal/display.h"
#include "options.h"
#include "ranks/training.h"
#include "save_times.h"

/// A run of train_cifar: the parts that train, and the folder that gets what comes of them. Of several ranks, rank 0 has it.
class Session : private Training {
 public:
  /// Loads the data and makes the parts, as `options` say or, where the folder has a state, as that says. Writes nothing.
  Session(const Options& options, RunFolder& folder, const gpucnn::Distributed& ranks);
  using Training::require_same_data;

  /// Makes the folder, or takes it up, unless the run is done.
  void open_folder();
  /// Whether there is nothing left to train or judge.
  bool is_done() const { return ends_at(begin_) && !lacks_test(); }

  /// Trains to the end, or until a signal asks for it. Returns how the program ends.
  ExitCode operator()();

 private:
  void take_up();
  bool ends_at(const gpucnn::RunPosition& position) const;
  bool lacks_test() const;
  void open_tensorboard();
  void announce();
  gpucnn::FitResult train();
  void add(const gpucnn::EpochResult& epoch);
  void save(const gpucnn::RunPosition& position);
  void judge_best(int epoch);
  ExitCode end_stopped(const gpucnn::RunPosition& position);
  ExitCode end_done(const gpucnn::FitResult& result);

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  RunFolder& folder_;
  gpucnn::DataLoader shown_;  // the judged images again, for the report
  bool resumes_ = false;
  std::string fresh_;  // a sentence about layers that --init has not filled
  gpucnn::RunPosition begin_;
  gpucnn::RunReport report_;
  std::optional<gpucnn::SummaryWriter> tensorboard_;
  Display display_;
  std::optional<double> test_accuracy_;  // of the best weights; none before judge_best, and without --validation-split
  SaveTimes times_;
};

/// Says that a signal came before the folder was made.
ExitCode end_before_training(int signal);
