#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <gpucnn/gpucnn.h>

#include "common/display.h"
#include "common/exit_code.h"
#include "common/run_folder.h"
#include "options.h"
#include "save_times.h"

/// A run of train_cifar: the parts that train, and the folder that gets what comes of them.
class Session {
 public:
  /// Loads the data and makes the parts, as `options` say or, where the folder has a state, as that says. Writes nothing.
  Session(const Options& options, RunFolder& folder);

  /// Trains to the end, or until a signal asks for it. Returns how the program ends.
  ExitCode operator()();

 private:
  void take_up();
  void open_folder();
  void announce();
  gpucnn::FitResult train();
  void add(const gpucnn::EpochResult& epoch);
  void save(const gpucnn::RunPosition& position);
  ExitCode end_stopped(const gpucnn::RunPosition& position);
  ExitCode end_done(const gpucnn::FitResult& result);

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const Options& options_;
  RunFolder& folder_;
  std::string why_;  // this device
  gpucnn::Device device_;
  gpucnn::Precision precision_;
  gpucnn::OpenedDataset data_;
  std::string title_;
  std::unique_ptr<gpucnn::Sequential> model_;
  std::unique_ptr<gpucnn::Optimizer> optimizer_;
  std::shared_ptr<const gpucnn::Dataset> test_images_;
  gpucnn::DataLoader train_, test_, judged_;  // judged_: the test images again, for the report
  std::unique_ptr<gpucnn::LRScheduler> schedule_;
  std::optional<gpucnn::ExponentialMovingAverage> ema_;
  gpucnn::CrossEntropyLoss loss_;
  std::optional<gpucnn::RunParts> parts_;
  bool resumes_ = false;
  gpucnn::RunPosition begin_;
  gpucnn::RunReport report_;
  Display display_;
  SaveTimes times_;
};
