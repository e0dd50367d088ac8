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
  if (options.momentum > 0.0) velocity_ = make_state();
}

void SGD::update(const Run& run, Stream& stream) {
  Tensor values = run.values;
  Tensor velocity = velocity_.defined() ? velocity_.narrow(run.first, run.count) : Tensor{};
  kernels::sgd(run.grads,
               {.lr = lr(),
                .momentum = options_.momentum,
                .dampening = options_.dampening,
                .weight_decay = options_.weight_decay,
                .nesterov = options_.nesterov,
                .first = run.step == 1},
               values, velocity, stream);
}

void SGD::move_state(Device device) { velocity_ = velocity_.to(device); }

}  // namespace gpucnn
