#include <gpucnn/optim/schedules/step_lr.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace gpucnn {

StepLR::StepLR(Optimizer& optimizer, StepLROptions options) : FormulaLR(optimizer), options_(options) {
  require(options.step_size >= 1, "StepLR: step_size", static_cast<double>(options.step_size), "at least 1");
  require(std::isfinite(options.gamma) && options.gamma >= 0.0, "StepLR: gamma", options.gamma, "finite and not negative");
  start();
}

double StepLR::first_lr(std::size_t, double lr) const { return lr; }

double StepLR::next_lr(std::size_t, double lr) const { return steps() % options_.step_size == 0 ? lr * options_.gamma : lr; }

MultiStepLR::MultiStepLR(Optimizer& optimizer, MultiStepLROptions options) : FormulaLR(optimizer), options_(std::move(options)) {
  for (const std::int64_t step : options_.milestones) {
    require(step >= 0, "MultiStepLR: a milestone", static_cast<double>(step), "at least 0");
  }
  require(std::isfinite(options_.gamma) && options_.gamma >= 0.0, "MultiStepLR: gamma", options_.gamma, "finite and not negative");
  start();
}

double MultiStepLR::first_lr(std::size_t group, double lr) const { return next_lr(group, lr); }

double MultiStepLR::next_lr(std::size_t, double lr) const {
  const auto times = std::ranges::count(options_.milestones, steps());
  return times == 0 ? lr : lr * std::pow(options_.gamma, static_cast<double>(times));
}

}  // namespace gpucnn
