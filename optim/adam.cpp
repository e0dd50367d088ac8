#include <gpucnn/optim/adam.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/optim/adam.h>

namespace gpucnn {

Adam::Adam(std::vector<Parameter> parameters, AdamOptions options)
    : Optimizer(std::move(parameters), options.lr), options_(options) {
  const auto [beta1, beta2] = options.betas;
  require(beta1 >= 0.0 && beta1 < 1.0, "betas.first", beta1);
  require(beta2 >= 0.0 && beta2 < 1.0, "betas.second", beta2);
  require(kernels::finite_in_f32(options.eps) && options.eps >= 0.0, "eps", options.eps);
  require(kernels::finite_in_f32(options.weight_decay) && options.weight_decay >= 0.0, "weight_decay", options.weight_decay);
  add_state("exp_avg");
  add_state("exp_avg_sq");
}

void Adam::update(const Range& range, Stream& stream) {
  const auto [beta1, beta2] = options_.betas;
  Tensor values = range.values, exp_avg = state(0, range), exp_avg_sq = state(1, range);
  kernels::adam(
      range.grads,
      {.lr = lr(), .beta1 = beta1, .beta2 = beta2, .eps = options_.eps, .weight_decay = options_.weight_decay, .step = range.step},
      values, exp_avg, exp_avg_sq, stream);
}

}  // namespace gpucnn
