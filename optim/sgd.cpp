#include <gpucnn/optim/sgd.h>

#include <gpucnn/kernels/optim/sgd.h>
#include <gpucnn/optim/option_rules.h>

namespace gpucnn {

SGD::SGD(std::vector<Parameter> parameters, SGDOptions options)
    : SGD(std::vector<ParameterGroup<SGDOptions>>{{std::move(parameters), options}}) {}

SGD::SGD(std::vector<ParameterGroup<SGDOptions>> groups) : Optimizer(with_momentum(groups)), options_(options_of(groups)) {
  for (std::size_t group = 0; group < options_.size(); ++group) {
    const SGDOptions& options = options_[group];
    Optimizer::check_momentum(group, options.momentum);
    require_finite("dampening", options.dampening);
    require_not_negative("weight_decay", options.weight_decay);
    require_option(!options.nesterov || options.momentum > 0.0, "momentum for nesterov", options.momentum, "above 0");
    require_option(!options.nesterov || options.dampening == 0.0, "dampening for nesterov", options.dampening, "0");
  }
  if (has_momentum()) add_state("momentum_buffer");
}

void SGD::check_momentum(std::size_t group, double momentum) const {
  Optimizer::check_momentum(group, momentum);
  require_option(!options_[group].nesterov || momentum > 0.0, "momentum for nesterov", momentum, "above 0");
}

void SGD::update(const Range& range, Stream& stream) {
  const SGDOptions& options = options_[range.group];
  Tensor values = range.values;
  Tensor velocity = has_momentum() ? state(0, range) : Tensor{};
  const double now = has_momentum() ? momentum(range.group) : 0.0;
  kernels::sgd(range.grads,
               {.lr = lr(range.group),
                .momentum = now,
                .dampening = options.dampening,
                .weight_decay = options.weight_decay,
                .nesterov = options.nesterov,
                .first = range.step == 1,
                .group = static_cast<int>(range.group),
                .maximize = options.maximize},
               values, velocity, stream);
}

}  // namespace gpucnn
