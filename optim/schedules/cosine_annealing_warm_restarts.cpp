#include <gpucnn/optim/schedules/cosine_annealing_warm_restarts.h>

#include <cmath>
#include <numbers>

namespace gpucnn {

CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(Optimizer& optimizer, CosineAnnealingWarmRestartsOptions options)
    : FormulaLR(optimizer), options_(options) {
  require(options.T_0 >= 1, "CosineAnnealingWarmRestarts: T_0", static_cast<double>(options.T_0), "at least 1");
  require(options.T_mult >= 1, "CosineAnnealingWarmRestarts: T_mult", static_cast<double>(options.T_mult), "at least 1");
  require(std::isfinite(options.eta_min) && options.eta_min >= 0.0, "CosineAnnealingWarmRestarts: eta_min", options.eta_min,
          "finite and not negative");
  start();
}

double CosineAnnealingWarmRestarts::first_lr(std::size_t group, double lr) const { return next_lr(group, lr); }

double CosineAnnealingWarmRestarts::next_lr(std::size_t group, double) const {
  // In double, because a period may become longer than any integer.
  auto step = static_cast<double>(steps()), period = static_cast<double>(options_.T_0);
  if (options_.T_mult == 1) {
    step = static_cast<double>(steps() % options_.T_0);
  } else {
    for (; step >= period; period *= static_cast<double>(options_.T_mult)) step -= period;
  }
  const double eta_min = options_.eta_min;
  return eta_min + (base_lr(group) - eta_min) * (1 + std::cos(std::numbers::pi * step / period)) / 2;
}

}  // namespace gpucnn
