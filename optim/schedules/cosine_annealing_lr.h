#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// PyTorch's names, order and defaults.
struct CosineAnnealingLROptions {
  std::int64_t T_max;    ///< >= 1: steps from the base rate to `eta_min`
  double eta_min = 0.0;  ///< >= 0
};

/// eta_min + (base - eta_min) (1 + cos(pi step / T_max)) / 2, which rises again behind step `T_max`; as
/// `torch.optim.lr_scheduler.CosineAnnealingLR`. Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts"
/// (ICLR 2017), without the restarts.
class GPUCNN_API CosineAnnealingLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  CosineAnnealingLR(Optimizer& optimizer, CosineAnnealingLROptions options);

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  CosineAnnealingLROptions options_;
};

}  // namespace gpucnn
