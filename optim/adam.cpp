#include <gpucnn/optim/adam.h>

#include <gpucnn/kernels/optim/adam.h>
#include <gpucnn/optim/adam_step.h>
#include <gpucnn/optim/option_rules.h>

namespace gpucnn {

Adam::Adam(std::vector<Parameter> parameters, AdamOptions options)
    : Adam(std::vector<ParameterGroup<AdamOptions>>{{std::move(parameters), options}}) {}

Adam::Adam(std::vector<ParameterGroup<AdamOptions>> groups) : Adam(std::move(groups), /*decoupled=*/false) {}

Adam::Adam(std::vector<ParameterGroup<AdamOptions>> groups, bool decoupled)
    : Optimizer(with_settings(groups,
                              [](const AdamOptions& o) {
                                return Settings{o.lr, o.betas.first};
                              })),
      options_(options_of(groups)),
      decoupled_(decoupled) {
  for (const AdamOptions& options : options_) check_options(options);
  add_state("exp_avg");
  add_state("exp_avg_sq");
  add_state("max_exp_avg_sq", [&](std::size_t group) { return options_[group].amsgrad; });
}

void Adam::check_momentum(std::size_t, double momentum) const { require_fraction("betas.first", momentum); }

void Adam::update(const Range& range, Stream& stream) {
  AdamOptions now = options_[range.group];
  now.lr = lr(range.group);
  now.betas.first = momentum(range.group);
  Tensor values = range.values, exp_avg = state(0, range), exp_avg_sq = state(1, range), max_exp_avg_sq = state(2, range);
  kernels::AdamStep step = adam_step(now, decoupled_, range.step, range.group);
  step.is_whole = range.is_whole;
  kernels::adam(range.grads, step, values, exp_avg, exp_avg_sq, max_exp_avg_sq, stream);
}

}  // namespace gpucnn
