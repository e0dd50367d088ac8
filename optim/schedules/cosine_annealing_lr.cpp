#include <gpucnn/optim/schedules/cosine_annealing_lr.h>

#include <cmath>
#include <numbers>

namespace gpucnn {

CosineAnnealingLR::CosineAnnealingLR(Optimizer& optimizer, CosineAnnealingLROptions options)
    : FormulaLR(optimizer), options_(options) {
  require(options.T_max >= 1, "CosineAnnealingLR: T_max", static_cast<double>(options.T_max), "at least 1");
  require(std::isfinite(options.eta_min) && options.eta_min >= 0.0, "CosineAnnealingLR: eta_min", options.eta_min,
          "finite and not negative");
  start();
}

double CosineAnnealingLR::first_lr(std::size_t, double lr) const { return lr; }

double CosineAnnealingLR::next_lr(std::size_t group, double lr) const {
  using std::numbers::pi;
  const auto step = static_cast<double>(steps()), period = static_cast<double>(options_.T_max);
  const double eta_min = options_.eta_min;
  // Behind the lowest point, where the quotient below is 0 / 0.
  if ((steps() - 1 - options_.T_max) % (2 * options_.T_max) == 0) {
    return lr + (base_lr(group) - eta_min) * (1 - std::cos(pi / period)) / 2;
  }
  return (1 + std::cos(pi * step / period)) / (1 + std::cos(pi * (step - 1) / period)) * (lr - eta_min) + eta_min;
}

}  // namespace gpucnn
