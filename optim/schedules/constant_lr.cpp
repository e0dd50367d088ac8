#include <gpucnn/optim/schedules/constant_lr.h>

namespace gpucnn {

ConstantLR::ConstantLR(Optimizer& optimizer, ConstantLROptions options) : FormulaLR(optimizer), options_(options) {
  require(options.factor >= 0.0 && options.factor <= 1.0, "ConstantLR: factor", options.factor, "in [0, 1]");
  require(options.total_iters >= 1, "ConstantLR: total_iters", static_cast<double>(options.total_iters), "at least 1");
  start();
}

double ConstantLR::first_lr(std::size_t, double lr) const { return lr * options_.factor; }

double ConstantLR::next_lr(std::size_t group, double lr) const {
  if (steps() != options_.total_iters) return lr;
  return options_.factor == 0.0 ? base_lr(group) : lr * (1.0 / options_.factor);
}

}  // namespace gpucnn
