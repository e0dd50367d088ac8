#include <gpucnn/optim/sgd.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/optim/sgd.h>

namespace gpucnn {

SGD::SGD(std::vector<Parameter> parameters, SGDOptions options) : Optimizer(std::move(parameters), options.lr), options_(options) {
  require(kernels::finite_in_f32(options.momentum) && options.momentum >= 0.0, "momentum", options.momentum);
  require(kernels::finite_in_f32(options.dampening), "dampening", options.dampening);
  require(kernels::finite_in_f32(options.weight_decay) && options.weight_decay >= 0.0, "weight_decay", options.weight_decay);
  require(!options.nesterov || (options.momentum > 0.0 && options.dampening == 0.0), "momentum or dampening for nesterov",
          options.momentum > 0.0 ? options.dampening : options.momentum);
  if (options.momentum > 0.0) add_state("momentum_buffer");
}

void SGD::update(const Range& range, Stream& stream) {
  Tensor values = range.values;
  Tensor velocity = options_.momentum > 0.0 ? state(0, range) : Tensor{};
  kernels::sgd(range.grads,
               {.lr = lr(),
                .momentum = options_.momentum,
                .dampening = options_.dampening,
                .weight_decay = options_.weight_decay,
                .nesterov = options_.nesterov,
                .first = range.step == 1},
               values, velocity, stream);
}

}  // namespace gpucnn
