#include <gpucnn/layers/losses/elementwise_loss.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/text/class_name.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>

namespace gpucnn {
namespace {

void require_of_classes(std::string_view option, const Tensor& weight) {
  if (!weight.defined() || (weight.dtype() == DType::f32 && weight.rank() == 1)) return;
  throw std::invalid_argument(formatted("{} must be f32 [C], got {} {}", option, name_of(weight.dtype()), weight.shape().string()));
}

}  // namespace

ElementwiseLoss::ElementwiseLoss(const kernels::ElementwiseLoss& function)
    : function_(function), weight_(function.weight), pos_weight_(function.pos_weight) {
  // Each option is of one loss only, and at its default in the others.
  kernels::check_value("SmoothL1Loss", "beta", function.beta, function.beta >= 0, "at least 0");
  require_of_classes("BCEWithLogitsLoss: weight", function.weight);
  require_of_classes("BCEWithLogitsLoss: pos_weight", function.pos_weight);
}

kernels::ElementwiseLoss ElementwiseLoss::on(Device device) const {
  kernels::ElementwiseLoss function = function_;
  function.weight = weight_.on(device);
  function.pos_weight = pos_weight_.on(device);
  return function;
}

Tensor ElementwiseLoss::prepare(const Tensor& input, const Tensor& targets) const {
  if (!targets.defined() || targets.dtype() != DType::f32 || targets.shape() != input.shape()) {
    throw std::invalid_argument(formatted(
        "{}: expects f32 targets of the input's shape {}, got {}", class_name(typeid(*this)), input.shape().string(),
        targets.defined() ? formatted("{} {}", name_of(targets.dtype()), targets.shape().string()) : std::string("undefined")));
  }
  const kernels::ElementwiseLoss function = on(input.device());
  for (const Tensor& weight : {function.weight, function.pos_weight}) {
    if (weight.defined() && (input.rank() != 2 || weight.shape() != Shape{input.dim(1)})) {
      throw std::invalid_argument(formatted("{}: a weight of classes must be f32 [C] for an input [N, C], got {} for {}",
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
