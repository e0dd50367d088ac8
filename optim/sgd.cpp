#include <gpucnn/optim/sgd.h>

#include <algorithm>
#include <optional>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/optim/sgd.h>

namespace gpucnn {

namespace {

bool any_momentum(const std::vector<SGDOptions>& all) {
  return std::ranges::any_of(all, [](const SGDOptions& options) { return options.momentum != 0.0; });
}

}  // namespace

SGD::SGD(std::vector<Parameter> parameters, SGDOptions options)
    : SGD(std::vector<ParameterGroup<SGDOptions>>{{std::move(parameters), options}}) {}

SGD::SGD(std::vector<ParameterGroup<SGDOptions>> groups)
    : Optimizer(with_settings(groups,
                              [has = any_momentum(options_of(groups))](const SGDOptions& options) {
                                return Settings{options.lr, has ? std::optional(options.momentum) : std::nullopt};
                              })),
      options_(options_of(groups)) {
  for (std::size_t group = 0; group < options_.size(); ++group) {
    const SGDOptions& options = options_[group];
    Optimizer::check_momentum(group, options.momentum);
    require(kernels::finite_in_f32(options.dampening), "dampening", options.dampening);
    require(kernels::finite_in_f32(options.weight_decay) && options.weight_decay >= 0.0, "weight_decay", options.weight_decay);
    require(!options.nesterov || (options.momentum > 0.0 && options.dampening == 0.0), "momentum or dampening for nesterov",
            options.momentum > 0.0 ? options.dampening : options.momentum);
  }
  if (has_momentum()) add_state("momentum_buffer");
}

void SGD::check_momentum(std::size_t group, double momentum) const {
  Optimizer::check_momentum(group, momentum);
  require(!options_[group].nesterov || momentum > 0.0, "momentum for nesterov", momentum);
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
