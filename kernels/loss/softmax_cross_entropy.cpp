#include <gpucnn/kernels/loss/softmax_cross_entropy.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {

void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Tensor& loss, Tensor& dlogits, Stream& stream) {
  softmax_cross_entropy(logits, labels, -100, loss, dlogits, stream);
}

void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, std::int32_t ignore_index, Tensor& loss, Tensor& dlogits,
                           Stream& stream) {
  check_tensor("softmax_cross_entropy", "logits", logits, DType::f32, stream);
  check_rank("softmax_cross_entropy", "logits", logits, 2);
  check_tensor("softmax_cross_entropy", "labels", labels, {logits.dim(0)}, DType::i32, stream);
  check_tensor("softmax_cross_entropy", "loss", loss, {}, DType::f32, stream);
  if (dlogits.defined()) check_tensor("softmax_cross_entropy", "dlogits", dlogits, logits.shape(), DType::f32, stream);
  dispatch(
      stream, [&] { cpu::softmax_cross_entropy(logits, labels, ignore_index, loss, dlogits, stream); },
      [&] { cuda::softmax_cross_entropy(logits, labels, ignore_index, loss, dlogits, stream); });
}

}  // namespace gpucnn::kernels
