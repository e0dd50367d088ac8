#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// PyTorch's names, order and defaults.
struct CosineAnnealingWarmRestartsOptions {
  std::int64_t T_0;         ///< >= 1: steps of the first period
  std::int64_t T_mult = 1;  ///< >= 1: how many times longer each period is than the one before
  double eta_min = 0.0;     ///< >= 0
};

/// eta_min + (base - eta_min) (1 + cos(pi t / T)) / 2 at step t of a period of T steps, with which the next begins; as
/// `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`. Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm
/// restarts" (ICLR 2017).
class GPUCNN_API CosineAnnealingWarmRestarts : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  CosineAnnealingWarmRestarts(Optimizer& optimizer, CosineAnnealingWarmRestartsOptions options);

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  CosineAnnealingWarmRestartsOptions options_;
};

}  // namespace gpucnn
