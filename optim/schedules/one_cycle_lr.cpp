#include <gpucnn/optim/schedules/one_cycle_lr.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>

namespace gpucnn {

OneCycleLR::OneCycleLR(Optimizer& optimizer, OneCycleLROptions options)
    : FormulaLR(optimizer),
      options_(std::move(options)),
      total_steps_(steps_of(options_)),
      max_lr_(options_.max_lr.values(groups(), "OneCycleLR: max_lr")),
      base_momentum_(options_.base_momentum.values(groups(), "OneCycleLR: base_momentum")),
      max_momentum_(options_.max_momentum.values(groups(), "OneCycleLR: max_momentum")) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0.0; };
  for (const double lr : max_lr_) {
    require(kernels::finite_in_f32(lr) && lr >= 0.0, "OneCycleLR: max_lr", lr, "finite in f32 and not negative");
  }
  require(options_.pct_start >= 0.0 && options_.pct_start <= 1.0, "OneCycleLR: pct_start", options_.pct_start, "in [0, 1]");
  require(positive(options_.div_factor), "OneCycleLR: div_factor", options_.div_factor, "finite and above 0");
  require(positive(options_.final_div_factor), "OneCycleLR: final_div_factor", options_.final_div_factor, "finite and above 0");
  for (const double momentum : base_momentum_) {
    require(momentum >= 0.0 && momentum < 1.0, "OneCycleLR: base_momentum", momentum, "in [0, 1)");
  }
  for (const double momentum : max_momentum_) {
    require(momentum >= 0.0 && momentum < 1.0, "OneCycleLR: max_momentum", momentum, "in [0, 1)");
  }
  if (options_.cycle_momentum && !optimizer.has_momentum()) {
    throw std::invalid_argument("OneCycleLR: cycle_momentum must be false for an optimizer without momentum");
  }
  const auto total = static_cast<double>(total_steps_);
  const double risen = options_.pct_start * total;
  phases_ = {{risen - 1, Level::initial, Level::max}};
  if (options_.three_phase) {
    phases_.push_back({2 * risen - 2, Level::max, Level::initial});
    phases_.push_back({total - 1, Level::initial, Level::min});
  } else {
    phases_.push_back({total - 1, Level::max, Level::min});
  }
  for (std::size_t group = 0; group < groups(); ++group) set_base_lr(group, lr_at(group, Level::initial));
  start();
}

std::int64_t OneCycleLR::steps_of(const OneCycleLROptions& options) {
  const auto at_least_1 = [](std::int64_t value, const char* option) {
    require(value >= 1, option, static_cast<double>(value), "at least 1");
    return value;
  };
  if (options.total_steps) return at_least_1(*options.total_steps, "OneCycleLR: total_steps");
  if (!options.epochs || !options.steps_per_epoch) {
    throw std::invalid_argument("OneCycleLR: total_steps must be given, or epochs and steps_per_epoch");
  }
  const std::int64_t epochs = at_least_1(*options.epochs, "OneCycleLR: epochs");
  const std::int64_t steps = at_least_1(*options.steps_per_epoch, "OneCycleLR: steps_per_epoch");
  require(epochs <= kMaxSteps / steps, "OneCycleLR: epochs * steps_per_epoch",
          static_cast<double>(epochs) * static_cast<double>(steps), "a number of steps");
  return epochs * steps;
}

// ---- formulas --------------------------------------------------------------------------------------------------------

double OneCycleLR::lr_at(std::size_t group, Level level) const {
  if (level == Level::max) return max_lr_[group];
  const double initial = max_lr_[group] / options_.div_factor;
  return level == Level::initial ? initial : initial / options_.final_div_factor;
}

double OneCycleLR::momentum_at(std::size_t group, Level level) const {
  return level == Level::max ? base_momentum_[group] : max_momentum_[group];
}

double OneCycleLR::now(std::size_t group, double (OneCycleLR::*of)(std::size_t, Level) const) const {
  const auto step = static_cast<double>(steps());
  double first = 0.0;
  auto phase = phases_.begin();
  for (; step > phase->end && phase + 1 != phases_.end(); ++phase) first = phase->end;
  const double length = phase->end - first;
  const double part = length == 0.0 ? 1.0 : (step - first) / length;  // a phase of one step is at its end
  const double start = (this->*of)(group, phase->from), end = (this->*of)(group, phase->to);
  if (options_.anneal_strategy == AnnealStrategy::linear) return (end - start) * part + start;
  return end + (start - end) / 2.0 * (std::cos(std::numbers::pi * part) + 1);
}

double OneCycleLR::first_lr(std::size_t group, double) const { return std::max(now(group, &OneCycleLR::lr_at), 0.0); }
double OneCycleLR::next_lr(std::size_t group, double) const { return std::max(now(group, &OneCycleLR::lr_at), 0.0); }

void OneCycleLR::set_momentum() {
  if (!options_.cycle_momentum) return;
  for (std::size_t group = 0; group < groups(); ++group) {
    const auto [low, high] = std::minmax(base_momentum_[group], max_momentum_[group]);
    target().set_momentum(group, std::clamp(now(group, &OneCycleLR::momentum_at), low, high));
  }
}

void OneCycleLR::advance() {
  if (steps() > total_steps_) {
    throw std::invalid_argument(formatted("OneCycleLR: step {} is beyond total_steps, {}", steps(), total_steps_));
  }
  FormulaLR::advance();
  set_momentum();
}

void OneCycleLR::restart() {
  FormulaLR::restart();
  set_momentum();
}

void OneCycleLR::load(std::span<const double>) { set_momentum(); }

}  // namespace gpucnn
