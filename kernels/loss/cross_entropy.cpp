#include <gpucnn/kernels/loss/cross_entropy.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {

void cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options, Tensor& loss, Tensor& dlogits,
                   Stream& stream) {
  check_tensor("cross_entropy", "logits", logits, DType::f32, stream);
  check_rank("cross_entropy", "logits", logits, 2);
  if (targets.dtype() == DType::f32) {
    check_tensor("cross_entropy", "targets", targets, logits.shape(), DType::f32, stream);
  } else {
    check_tensor("cross_entropy", "targets", targets, {logits.dim(0)}, DType::i32, stream);
  }
  if (options.weight.defined()) check_tensor("cross_entropy", "weight", options.weight, {logits.dim(1)}, DType::f32, stream);
  check_value("cross_entropy", "label_smoothing", options.label_smoothing,
              options.label_smoothing >= 0 && options.label_smoothing <= 1, "in [0, 1]");
  check_tensor("cross_entropy", "loss", loss, {}, DType::f32, stream);
  check_tensor("cross_entropy", "dlogits", dlogits, logits.shape(), DType::f32, stream);
  check_apart("cross_entropy", "dlogits", dlogits, "logits", logits);
  dispatch(
      stream, [&] { cpu::cross_entropy(logits, targets, options, loss, dlogits, stream); },
      [&] { cuda::cross_entropy(logits, targets, options, loss, dlogits, stream); });
}

}  // namespace gpucnn::kernels
