#include <gpucnn/optim/schedules/polynomial_lr.h>

#include <cmath>

namespace gpucnn {

PolynomialLR::PolynomialLR(Optimizer& optimizer, PolynomialLROptions options) : FormulaLR(optimizer), options_(options) {
  require(options.total_iters >= 1, "PolynomialLR: total_iters", static_cast<double>(options.total_iters), "at least 1");
  require(std::isfinite(options.power) && options.power >= 0.0, "PolynomialLR: power", options.power, "finite and not negative");
  start();
}

double PolynomialLR::first_lr(std::size_t, double lr) const { return lr; }

double PolynomialLR::next_lr(std::size_t, double lr) const {
  if (steps() > options_.total_iters) return lr;
  const auto step = static_cast<double>(steps()), total = static_cast<double>(options_.total_iters);
  return lr * std::pow((1.0 - step / total) / (1.0 - (step - 1) / total), options_.power);
}

}  // namespace gpucnn
