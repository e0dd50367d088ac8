#include <gpucnn/kernels/loss/elementwise_loss.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {

void elementwise_loss(const Tensor& x, const Tensor& targets, const ElementwiseLoss& function, Tensor& loss, Tensor& dx,
                      Stream& stream) {
  constexpr const char* kName = "elementwise_loss";
  check_tensor(kName, "x", x, DType::f32, stream);
  check_tensor(kName, "targets", targets, x.shape(), DType::f32, stream);
  check_value(kName, "beta", function.beta, function.beta >= 0, ">= 0");
  for (const Tensor* weight : {&function.weight, &function.pos_weight}) {
    if (!weight->defined()) continue;
    check_rank(kName, "x with weights of classes", x, 2);
    check_tensor(kName, weight == &function.weight ? "weight" : "pos_weight", *weight, {x.dim(1)}, DType::f32, stream);
  }
  check_tensor(kName, "loss", loss, {}, DType::f32, stream);
  check_tensor(kName, "dx", dx, x.shape(), DType::f32, stream);
  check_apart(kName, "dx", dx, "x", x);
  check_apart(kName, "dx", dx, "targets", targets);
  dispatch(
      stream, [&] { cpu::elementwise_loss(x, targets, function, loss, dx, stream); },
      [&] { cuda::elementwise_loss(x, targets, function, loss, dx, stream); });
}

}  // namespace gpucnn::kernels
