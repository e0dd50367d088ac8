#include <gpucnn/optim/adam_step.h>

#include <gpucnn/optim/option_rules.h>

namespace gpucnn {

AdamOptions as_adam(const AdamWOptions& options) {
  return {.lr = options.lr,
          .betas = options.betas,
          .eps = options.eps,
          .weight_decay = options.weight_decay,
          .amsgrad = options.amsgrad,
          .maximize = options.maximize};
}

void check_options(const AdamOptions& options, const std::string& prefix) {
  require_not_negative(prefix + "lr", options.lr);
  require_fraction(prefix + "betas.first", options.betas.first);
  require_fraction(prefix + "betas.second", options.betas.second);
  require_not_negative(prefix + "eps", options.eps);
  require_not_negative(prefix + "weight_decay", options.weight_decay);
}

kernels::AdamStep adam_step(const AdamOptions& options, bool decoupled, std::int64_t step, std::size_t group) {
  return {.lr = options.lr,
          .beta1 = options.betas.first,
          .beta2 = options.betas.second,
          .eps = options.eps,
          .weight_decay = options.weight_decay,
          .step = step,
          .group = static_cast<int>(group),
          .maximize = options.maximize,
          .decoupled = decoupled};
}

}  // namespace gpucnn
