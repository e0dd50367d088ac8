#include <gpucnn/optim/adam.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/optim/adam.h>

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
  for (const AdamOptions& options : options_) {
    const auto [beta1, beta2] = options.betas;
    require(beta1 >= 0.0 && beta1 < 1.0, "betas.first", beta1);
    require(beta2 >= 0.0 && beta2 < 1.0, "betas.second", beta2);
    require(kernels::finite_in_f32(options.eps) && options.eps >= 0.0, "eps", options.eps);
    require(kernels::finite_in_f32(options.weight_decay) && options.weight_decay >= 0.0, "weight_decay", options.weight_decay);
  }
  add_state("exp_avg");
  add_state("exp_avg_sq");
}

void Adam::check_momentum(std::size_t, double momentum) const {
  require(momentum >= 0.0 && momentum < 1.0, "betas.first", momentum);
}

void Adam::update(const Range& range, Stream& stream) {
  const AdamOptions& options = options_[range.group];
  Tensor values = range.values, exp_avg = state(0, range), exp_avg_sq = state(1, range);
  kernels::adam(range.grads,
                {.lr = lr(range.group),
                 .beta1 = momentum(range.group),
                 .beta2 = options.betas.second,
                 .eps = options.eps,
                 .weight_decay = options.weight_decay,
                 .step = range.step,
                 .group = static_cast<int>(range.group),
                 .maximize = options.maximize,
                 .decoupled = decoupled_},
                values, exp_avg, exp_avg_sq, stream);
}

}  // namespace gpucnn
