#include <gpucnn/optim/schedules/reduce_lr_on_plateau.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace gpucnn {
namespace {

double worst(PlateauMode mode) {
  const double infinity = std::numeric_limits<double>::infinity();
  return mode == PlateauMode::min ? infinity : -infinity;
}

}  // namespace

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, ReduceLROnPlateauOptions options)
    : LRScheduler(optimizer),
      options_(std::move(options)),
      min_lr_(options_.min_lr.values(groups(), "ReduceLROnPlateau: min_lr")),
      best_(worst(options_.mode)) {
  const auto not_negative = [](double value, const char* option) {
    require(std::isfinite(value) && value >= 0.0, option, value, "finite and not negative");
  };
  require(options_.factor >= 0.0 && options_.factor < 1.0, "ReduceLROnPlateau: factor", options_.factor, "in [0, 1)");
  not_negative(static_cast<double>(options_.patience), "ReduceLROnPlateau: patience");
  not_negative(options_.threshold, "ReduceLROnPlateau: threshold");
  not_negative(static_cast<double>(options_.cooldown), "ReduceLROnPlateau: cooldown");
  for (const double lr : min_lr_) not_negative(lr, "ReduceLROnPlateau: min_lr");
  not_negative(options_.eps, "ReduceLROnPlateau: eps");
}

void ReduceLROnPlateau::step(double metric) {
  metric_ = metric;
  LRScheduler::step();
  metric_.reset();
}

bool ReduceLROnPlateau::is_better(double metric) const {
  const double threshold = options_.threshold;
  const bool relative = options_.threshold_mode == ThresholdMode::rel;
  if (options_.mode == PlateauMode::min) return metric < (relative ? best_ * (1.0 - threshold) : best_ - threshold);
  return metric > (relative ? best_ * (threshold + 1.0) : best_ + threshold);
}

void ReduceLROnPlateau::advance() {
  if (!metric_) throw std::logic_error("ReduceLROnPlateau: step wants the metric by which the rate is reduced");
  if (is_better(*metric_)) {
    best_ = *metric_;
    bad_steps_ = 0;
  } else {
    ++bad_steps_;
  }
  if (cooldown_ > 0) {
    --cooldown_;
    bad_steps_ = 0;
  }
  if (bad_steps_ > static_cast<double>(options_.patience)) {
    reduce();
    cooldown_ = static_cast<double>(options_.cooldown);
    bad_steps_ = 0;
  }
}

void ReduceLROnPlateau::reduce() {
  for (std::size_t group = 0; group < groups(); ++group) {
    const double lr = target().lr(group), reduced = std::max(lr * options_.factor, min_lr_[group]);
    if (lr - reduced > options_.eps) target().set_lr(group, reduced);
  }
}

void ReduceLROnPlateau::restart() {
  throw std::logic_error("ReduceLROnPlateau: has no rate of its own to begin with");  // SequentialLR refuses it before
}

void ReduceLROnPlateau::save(std::vector<double>& numbers) const { numbers.insert(numbers.end(), {best_, bad_steps_, cooldown_}); }

void ReduceLROnPlateau::check(std::span<const double> numbers) const {
  require(!std::isnan(numbers[0]), "ReduceLROnPlateau::set_state: the best metric", numbers[0], "a number");
  require_count("ReduceLROnPlateau::set_state: the steps without a better metric", numbers[1]);
  require_count("ReduceLROnPlateau::set_state: the cooldown", numbers[2]);
}

void ReduceLROnPlateau::load(std::span<const double> numbers) {
  best_ = numbers[0];
  bad_steps_ = numbers[1];
  cooldown_ = numbers[2];
}

}  // namespace gpucnn
