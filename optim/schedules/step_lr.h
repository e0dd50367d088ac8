#pragma once

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// PyTorch's names, order and defaults.
struct StepLROptions {
  std::int64_t step_size;  ///< >= 1
  double gamma = 0.1;      ///< >= 0
};

/// The rate times `gamma` every `step_size` steps, as `torch.optim.lr_scheduler.StepLR`.
class GPUCNN_API StepLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  StepLR(Optimizer& optimizer, StepLROptions options);

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  StepLROptions options_;
};

/// PyTorch's names, order and defaults.
struct MultiStepLROptions {
  std::vector<std::int64_t> milestones;  ///< each >= 0, in any order; one that is there twice counts twice
  double gamma = 0.1;                    ///< >= 0
};

/// The rate times `gamma` at each step of `milestones`, as `torch.optim.lr_scheduler.MultiStepLR`.
class GPUCNN_API MultiStepLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  MultiStepLR(Optimizer& optimizer, MultiStepLROptions options);

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  MultiStepLROptions options_;
};

}  // namespace gpucnn
