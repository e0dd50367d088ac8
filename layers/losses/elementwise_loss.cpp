#include <gpucnn/layers/losses/elementwise_loss.h>

#include <stdexcept>
#include <typeinfo>

#include <fmt/format.h>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/text/class_name.h>

namespace gpucnn {

ElementwiseLoss::ElementwiseLoss(const kernels::ElementwiseLoss& function)
    : function_(function), weight_(function.weight), pos_weight_(function.pos_weight) {}

kernels::ElementwiseLoss ElementwiseLoss::on(Device device) const {
  kernels::ElementwiseLoss function = function_;
  function.weight = weight_.on(device);
  function.pos_weight = pos_weight_.on(device);
  return function;
}

Tensor ElementwiseLoss::prepare(const Tensor& input, const Tensor& targets) const {
  if (!targets.defined() || targets.dtype() != DType::f32 || targets.shape() != input.shape()) {
    throw std::invalid_argument(fmt::format("{}: expects f32 targets of the input's shape {}, got {} {}", class_name(typeid(*this)),
                                            input.shape().string(), name_of(targets.dtype()), targets.shape().string()));
  }
  const kernels::ElementwiseLoss function = on(input.device());
  for (const Tensor& weight : {function.weight, function.pos_weight}) {
    if (weight.defined() && (input.rank() != 2 || weight.shape() != Shape{input.dim(1)})) {
      throw std::invalid_argument(fmt::format("{}: a weight of classes must be f32 [C] for an input [N, C], got {} for {}",
                                              class_name(typeid(*this)), weight.shape().string(), input.shape().string()));
    }
  }
  return targets;
}

Tensor ElementwiseLoss::forward(const Tensor& input, const Tensor& targets, Tensor& dinput) const {
  Stream stream(input.device());
  Tensor loss = Tensor::empty({}, DType::f32, input.device());
  kernels::elementwise_loss(input, targets, on(input.device()), loss, dinput, stream);
  return loss;
}

}  // namespace gpucnn
