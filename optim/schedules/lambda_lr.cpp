#include <gpucnn/optim/schedules/lambda_lr.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

LambdaLR::LambdaLR(Optimizer& optimizer, const Factor& lr_lambda)
    : LambdaLR(optimizer, std::vector<Factor>(static_cast<std::size_t>(optimizer.groups()), lr_lambda)) {}

LambdaLR::LambdaLR(Optimizer& optimizer, std::vector<Factor> lr_lambda) : FormulaLR(optimizer), lr_lambdas_(std::move(lr_lambda)) {
  if (lr_lambdas_.size() != groups()) {
    throw std::invalid_argument(
        formatted("LambdaLR: lr_lambda must be one function or one for each parameter group, got {} for {} groups",
                  lr_lambdas_.size(), groups()));
  }
  if (!std::ranges::all_of(lr_lambdas_, [](const Factor& factor) { return static_cast<bool>(factor); })) {
    throw std::invalid_argument("LambdaLR: lr_lambda must not be empty");
  }
  start();
}

double LambdaLR::first_lr(std::size_t group, double lr) const { return next_lr(group, lr); }
double LambdaLR::next_lr(std::size_t group, double) const { return base_lr(group) * lr_lambdas_[group](steps()); }

}  // namespace gpucnn
