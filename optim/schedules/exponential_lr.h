#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// The rate times `gamma` in every step, as `torch.optim.lr_scheduler.ExponentialLR`.
class GPUCNN_API ExponentialLR : public FormulaLR {
 public:
  /// gamma: finite and >= 0, or `std::invalid_argument` is thrown.
  ExponentialLR(Optimizer& optimizer, double gamma);

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  double gamma_;
};

}  // namespace gpucnn
