#pragma once

#include <functional>

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// The base rate times a function of the step, as `torch.optim.lr_scheduler.LambdaLR`. The function is no part of `state()`.
class GPUCNN_API LambdaLR : public FormulaLR {
 public:
  using Factor = std::function<double(std::int64_t step)>;  ///< step: from 0

  /// One function for all groups. Throws `std::invalid_argument` if it is empty.
  LambdaLR(Optimizer& optimizer, const Factor& lr_lambda);
  /// One function for each group. Throws `std::invalid_argument` for another count, or an empty one.
  LambdaLR(Optimizer& optimizer, std::vector<Factor> lr_lambda);

 private:
  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;

  std::vector<Factor> lr_lambdas_;
};

}  // namespace gpucnn
