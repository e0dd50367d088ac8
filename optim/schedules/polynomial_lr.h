#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// PyTorch's names, order and defaults.
struct PolynomialLROptions {
  std::int64_t total_iters = 5;  ///< >= 1: steps down to 0
  double power = 1.0;            ///< >= 0
};

/// The rate times (1 - step / total_iters)^power, and 0 from step `total_iters` on; as `torch.optim.lr_scheduler.PolynomialLR`.
class GPUCNN_API PolynomialLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit PolynomialLR(Optimizer& optimizer, PolynomialLROptions options = {});

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  PolynomialLROptions options_;
};

}  // namespace gpucnn
