#include <gpucnn/optim/rmsprop.h>

#include <gpucnn/kernels/optim/rmsprop.h>
#include <gpucnn/optim/option_rules.h>

namespace gpucnn {

RMSprop::RMSprop(std::vector<Parameter> parameters, RMSpropOptions options)
    : RMSprop(std::vector<ParameterGroup<RMSpropOptions>>{{std::move(parameters), options}}) {}

RMSprop::RMSprop(std::vector<ParameterGroup<RMSpropOptions>> groups)
    : Optimizer(with_momentum(groups)), options_(options_of(groups)) {
  for (std::size_t group = 0; group < options_.size(); ++group) {
    const RMSpropOptions& options = options_[group];
    require_option(options.alpha >= 0.0 && options.alpha <= 1.0, "alpha", options.alpha, "in [0, 1]");
    require_not_negative("eps", options.eps);
    require_not_negative("weight_decay", options.weight_decay);
    Optimizer::check_momentum(group, options.momentum);
  }
  add_state("square_avg");
  add_state("momentum_buffer", [&](std::size_t) { return has_momentum(); });
  add_state("grad_avg", [&](std::size_t group) { return options_[group].centered; });
}

void RMSprop::update(const Range& range, Stream& stream) {
  const RMSpropOptions& options = options_[range.group];
  Tensor values = range.values;
  kernels::RmspropState now{state(0, range), state(1, range), state(2, range)};
  kernels::rmsprop(range.grads,
                   {.lr = lr(range.group),
                    .alpha = options.alpha,
                    .eps = options.eps,
                    .weight_decay = options.weight_decay,
                    .momentum = has_momentum() ? momentum(range.group) : 0.0,
                    .group = static_cast<int>(range.group),
                    .centered = options.centered,
                    .maximize = options.maximize},
                   values, now, stream);
}

}  // namespace gpucnn
