#include <gpucnn/optim/schedules/linear_lr.h>

#include <algorithm>

namespace gpucnn {

LinearLR::LinearLR(Optimizer& optimizer, LinearLROptions options) : FormulaLR(optimizer), options_(options) {
  require(options.start_factor > 0.0 && options.start_factor <= 1.0, "LinearLR: start_factor", options.start_factor, "in (0, 1]");
  require(options.end_factor >= 0.0 && options.end_factor <= 1.0, "LinearLR: end_factor", options.end_factor, "in [0, 1]");
  require(options.total_iters >= 1, "LinearLR: total_iters", static_cast<double>(options.total_iters), "at least 1");
  start();
}

double LinearLR::first_lr(std::size_t, double lr) const { return lr * options_.start_factor; }

double LinearLR::next_lr(std::size_t, double lr) const {
  if (steps() > options_.total_iters) return lr;
  const double whole = static_cast<double>(options_.total_iters) * options_.start_factor;
  const double slope = options_.end_factor - options_.start_factor;
  // On the way to 0 the last factor may be a rounding error below it.
  return std::max(lr * (1.0 + slope / (whole + static_cast<double>(steps() - 1) * slope)), 0.0);
}

}  // namespace gpucnn
