#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "train_cifar/options.h"
#include "train_cifar/setup.h"

/// What trains. All ranks of a run make it alike; rank 0's is a Session.
class Training {
 public:
  /// Loads the data and makes the parts.
  Training(const Options& options, const gpucnn::Distributed& ranks);

  /// Throws `UsageError` on every rank if the data of one are others. Ranks call it together.
  void require_same_data() const;

 protected:
  ~Training() = default;

  /// What `fit` is told on every rank. A signal to one of them stops all.
  gpucnn::FitOptions fit_options();
  /// `signal_` is what has stopped it.
  gpucnn::FitResult fit(const gpucnn::FitOptions& options);

  const Options& options_;
  const gpucnn::Distributed& ranks_;
  Setup setup_;
  std::unique_ptr<gpucnn::Optimizer> optimizer_;
  gpucnn::DataLoader train_, judged_;
  std::unique_ptr<gpucnn::LRScheduler> schedule_;
  std::optional<gpucnn::ExponentialMovingAverage> ema_;
  gpucnn::CrossEntropyLoss loss_, test_loss_;  // of which the first may smooth labels
  std::optional<gpucnn::RunParts> parts_;
  int signal_ = 0;

 private:
  std::vector<std::pair<std::string, std::string>> traits_;  // of the data, by their nouns; none in a run of one
};
