#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// PyTorch's names, order and defaults.
struct LinearLROptions {
  double start_factor = 1.0 / 3;  ///< in (0, 1]
  double end_factor = 1.0;        ///< in [0, 1]
  std::int64_t total_iters = 5;   ///< >= 1: steps from one to the other
};

/// The rate times a factor that goes in a straight line from `start_factor` to `end_factor`, and stays there: a warm-up. As
/// `torch.optim.lr_scheduler.LinearLR`.
class GPUCNN_API LinearLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit LinearLR(Optimizer& optimizer, LinearLROptions options = {});

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  LinearLROptions options_;
};

}  // namespace gpucnn
