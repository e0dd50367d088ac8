#include <gpucnn/optim/schedules/sequential_lr.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/optim/schedules/reduce_lr_on_plateau.h>

namespace gpucnn {

SequentialLR::SequentialLR(Optimizer& optimizer, std::vector<std::reference_wrapper<LRScheduler>> schedulers,
                           std::vector<std::int64_t> milestones)
    : LRScheduler(optimizer), schedulers_(std::move(schedulers)), milestones_(std::move(milestones)) {
  if (schedulers_.empty()) throw std::invalid_argument("SequentialLR: there is no schedule");
  for (std::size_t i = 0; i < schedulers_.size(); ++i) {
    const LRScheduler& scheduler = schedulers_[i];
    if (dynamic_cast<const ReduceLROnPlateau*>(&scheduler)) {
      throw std::invalid_argument(formatted("SequentialLR: schedule {} is a ReduceLROnPlateau, which wants a metric", i));
    }
    if (&scheduler.optimizer() != &optimizer) {
      throw std::invalid_argument(formatted("SequentialLR: schedule {} is of another optimizer", i));
    }
  }
  if (milestones_.size() + 1 != schedulers_.size()) {
    throw std::invalid_argument(formatted("SequentialLR: {} schedules want {} milestones, got {}", schedulers_.size(),
                                          schedulers_.size() - 1, milestones_.size()));
  }
  for (std::size_t i = 0; i < milestones_.size(); ++i) {
    const std::int64_t least = i == 0 ? 0 : milestones_[i - 1];
    require(milestones_[i] >= least, "SequentialLR: a milestone", static_cast<double>(milestones_[i]),
            formatted("at least {}", least));
  }
  const FloatEnvironment standard;
  restart();
  read_lrs();
}

std::size_t SequentialLR::turn() const {
  return static_cast<std::size_t>(std::ranges::upper_bound(milestones_, steps()) - milestones_.begin());
}

void SequentialLR::begin(LRScheduler& scheduler) {
  scheduler.steps_ = 0;
  scheduler.restart();
  scheduler.read_lrs();
}

void SequentialLR::advance() {
  const std::size_t i = turn();
  LRScheduler& scheduler = schedulers_[i];
  if (i > 0 && milestones_[i - 1] == steps()) {
    scheduler.set_lrs(scheduler.base_lrs_);
    begin(scheduler);
  } else {
    scheduler.step();
  }
}

/// Schedules are made one after another, each of which has changed the rates: they all go from the rates before the first.
void SequentialLR::restart() {
  set_lrs(base_lrs_);
  begin(schedulers_[turn()]);
}

void SequentialLR::save(std::vector<double>& numbers) const {
  for (const LRScheduler& scheduler : schedulers_) {
    const std::vector<double> own = scheduler.state();
    numbers.insert(numbers.end(), own.begin(), own.end());
  }
}

void SequentialLR::check(std::span<const double> numbers) const {
  for (const LRScheduler& scheduler : schedulers_) {
    const std::size_t count = scheduler.state().size();
    scheduler.check_state(numbers.first(count));
    numbers = numbers.subspan(count);
  }
}

void SequentialLR::load(std::span<const double> numbers) {
  const std::vector<double> rates = last_lr();
  for (LRScheduler& scheduler : schedulers_) {
    const auto own = numbers.first(scheduler.state().size());
    scheduler.set_state({own.begin(), own.end()});
    numbers = numbers.subspan(own.size());
  }
  set_lrs(rates);  // those of the schedule whose turn it is
}

}  // namespace gpucnn
