#include "train_cifar/tasks/rate_search.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace {

constexpr double kKept = 0.9;          // of the average, in a step
constexpr double kMaxRise = 4;         // times the least loss
constexpr std::size_t kSettling = 10;  // steps before the average says much

}  // namespace

double RateSearch::rate() const {
  const double part = static_cast<double>(trials_.size()) / (steps_ - 1);
  return kMinRate * std::pow(kMaxRate / kMinRate, part);
}

bool RateSearch::add(double loss) {
  const double lr = rate();
  average_ = kKept * average_ + (1 - kKept) * loss;
  const double smoothed = average_ / (1 - std::pow(kKept, static_cast<double>(trials_.size()) + 1));
  least_ = trials_.empty() ? smoothed : std::min(least_, smoothed);
  trials_.push_back({lr, smoothed});
  const bool is_far_above = trials_.size() > kSettling && smoothed > kMaxRise * least_;
  return !is_far_above && std::ssize(trials_) < steps_;
}

double RateSearch::suggestion() const {
  // Behind the least loss it may fall, too: from heights that too high a rate has thrown it to.
  const auto least = std::ranges::min_element(trials_, {}, &gpucnn::RateTrial::loss);
  const auto end = static_cast<std::size_t>(least - trials_.begin());
  double steepest = 0, lr = 0;
  for (std::size_t i = kSettling; i + 1 < end; ++i) {
    const double slope = trials_[i + 1].loss - trials_[i - 1].loss;  // over equal steps of the rate's logarithm
    if (slope >= steepest) continue;
    steepest = slope;
    lr = trials_[i].lr;
  }
  return lr;
}
