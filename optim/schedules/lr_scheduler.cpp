#include <gpucnn/optim/schedules/lr_scheduler.h>

#include <cmath>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/kernels/common/check.h>

namespace gpucnn {

std::vector<double> PerGroup::values(std::size_t groups, std::string_view option) const {
  if (values_.size() == 1) return std::vector<double>(groups, values_[0]);
  if (values_.size() != groups) {
    throw std::invalid_argument(
        formatted("{} must be one number or one for each parameter group, got {} for {} groups", option, values_.size(), groups));
  }
  return values_;
}

LRScheduler::LRScheduler(Optimizer& optimizer) : optimizer_(optimizer) {
  std::vector<double>& initial = optimizer.initial_lrs_;
  for (std::size_t group = initial.size(); group < optimizer.groups(); ++group) initial.push_back(optimizer.lr(group));
  base_lrs_ = initial;
  last_lr_.resize(groups());
  read_lrs();
}

LRScheduler::~LRScheduler() = default;

void LRScheduler::step() {
  const FloatEnvironment standard;
  ++steps_;
  try {
    advance();
  } catch (...) {
    --steps_;
    throw;
  }
  read_lrs();
}

void LRScheduler::require(bool holds, std::string_view option, double value, std::string_view rule) {
  if (!holds) throw std::invalid_argument(formatted("{} must be {}, got {}", option, rule, value));
}

void LRScheduler::require_count(std::string_view option, double value) {
  require(value >= 0.0 && value == std::floor(value) && value < 0x1p53, option, value, "a count");
}

void LRScheduler::set_base_lr(std::size_t group, double lr) { base_lrs_[group] = optimizer_.initial_lrs_[group] = lr; }

void LRScheduler::check_lrs(std::span<const double> lrs) {
  for (const double lr : lrs)
    require(kernels::finite_in_f32(lr) && lr >= 0.0, "LRScheduler: lr", lr, "finite in f32 and not negative");
}

void LRScheduler::set_lrs(std::span<const double> lrs) {
  check_lrs(lrs);
  for (std::size_t group = 0; group < groups(); ++group) optimizer_.set_lr(group, lrs[group]);
}

void LRScheduler::read_lrs() {
  for (std::size_t group = 0; group < groups(); ++group) last_lr_[group] = optimizer_.lr(group);
}

// ---- state -----------------------------------------------------------------------------------------------------------

void LRScheduler::save(std::vector<double>&) const {}
void LRScheduler::check(std::span<const double>) const {}
void LRScheduler::load(std::span<const double>) {}

std::vector<double> LRScheduler::state() const {
  std::vector<double> numbers{static_cast<double>(steps_)};
  numbers.insert(numbers.end(), base_lrs_.begin(), base_lrs_.end());
  numbers.insert(numbers.end(), last_lr_.begin(), last_lr_.end());
  save(numbers);
  return numbers;
}

void LRScheduler::check_state(std::span<const double> numbers) const {
  if (const std::size_t count = state().size(); numbers.size() != count) {
    throw std::invalid_argument(formatted("LRScheduler::set_state: got {} numbers, expects {}", numbers.size(), count));
  }
  require_count("LRScheduler::set_state: steps", numbers[0]);
  for (const double lr : numbers.subspan(1, groups())) {
    require(std::isfinite(lr), "LRScheduler::set_state: a base rate", lr, "finite");
  }
  check_lrs(numbers.subspan(1 + groups(), groups()));
  check(numbers.subspan(1 + 2 * groups()));
}

void LRScheduler::set_state(const std::vector<double>& numbers) {
  check_state(numbers);
  set_lrs(std::span(numbers).subspan(1 + groups(), groups()));
  for (std::size_t group = 0; group < groups(); ++group) set_base_lr(group, numbers[1 + group]);
  steps_ = static_cast<std::int64_t>(numbers[0]);
  read_lrs();
  load(std::span(numbers).subspan(1 + 2 * groups()));
}

// ---- formulas --------------------------------------------------------------------------------------------------------

FormulaLR::FormulaLR(Optimizer& optimizer) : LRScheduler(optimizer), next_(groups()) {}

void FormulaLR::start() {
  const FloatEnvironment standard;
  restart();
  read_lrs();
}

void FormulaLR::advance() {
  for (std::size_t group = 0; group < groups(); ++group) next_[group] = next_lr(group, target().lr(group));
  set_lrs(next_);
}

void FormulaLR::restart() {
  for (std::size_t group = 0; group < groups(); ++group) next_[group] = first_lr(group, target().lr(group));
  set_lrs(next_);
}

}  // namespace gpucnn
