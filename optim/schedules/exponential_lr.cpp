#include <gpucnn/optim/schedules/exponential_lr.h>

#include <cmath>

namespace gpucnn {

ExponentialLR::ExponentialLR(Optimizer& optimizer, double gamma) : FormulaLR(optimizer), gamma_(gamma) {
  require(std::isfinite(gamma) && gamma >= 0.0, "ExponentialLR: gamma", gamma, "finite and not negative");
  start();
}

double ExponentialLR::first_lr(std::size_t, double lr) const { return lr; }
double ExponentialLR::next_lr(std::size_t, double lr) const { return lr * gamma_; }

}  // namespace gpucnn
