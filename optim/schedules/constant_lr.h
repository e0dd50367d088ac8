#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// PyTorch's names, order and defaults.
struct ConstantLROptions {
  double factor = 1.0 / 3;       ///< in [0, 1]
  std::int64_t total_iters = 5;  ///< >= 1: steps with the factor
};

/// The rate times `factor` before step `total_iters`, and the whole rate from there on; as `torch.optim.lr_scheduler.ConstantLR`.
class GPUCNN_API ConstantLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit ConstantLR(Optimizer& optimizer, ConstantLROptions options = {});

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  ConstantLROptions options_;
};

}  // namespace gpucnn
