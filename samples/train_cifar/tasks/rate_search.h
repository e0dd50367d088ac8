#pragma once

#include <vector>

#include <gpucnn/gpucnn.h>

/// The learning-rate range test of Smith, "Cyclical Learning Rates for Training Neural Networks" (2015). The rate rises by one
/// factor from step to step. It ends where the loss, smoothed over some steps, is far above its least.
class RateSearch {
 public:
  static constexpr double kMinRate = 1e-7, kMaxRate = 10;

  /// REQUIRES: steps >= 2.
  explicit RateSearch(int steps) : steps_(steps) {}

  int steps() const noexcept { return steps_; }
  /// The rate of the next step.
  double rate() const;
  /// The loss of that step. False where the test is over.
  bool add(double loss);
  /// Rates and smoothed losses.
  const std::vector<gpucnn::RateTrial>& trials() const noexcept { return trials_; }
  /// The rate at which the loss falls fastest; 0 where it falls at none.
  double suggestion() const;

 private:
  int steps_;
  double average_ = 0, least_ = 0;
  std::vector<gpucnn::RateTrial> trials_;
};
