#include <gpucnn/kernels/metrics/count_correct.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels {

void count_correct(const Tensor& logits, const Tensor& labels, Tensor& count, Stream& stream) {
  check_tensor("count_correct", "logits", logits, DType::f32, stream);
  check_rank("count_correct", "logits", logits, 2);
  check_value("count_correct", "C", logits.dim(1), logits.dim(1) > 0, "at least 1");
  const bool probable = labels.defined() && labels.dtype() == DType::f32;
  check_tensor("count_correct", "labels", labels, probable ? logits.shape() : Shape{logits.dim(0)},
               probable ? DType::f32 : DType::i32, stream);
  check_tensor("count_correct", "count", count, Shape{}, DType::f32, stream);
  dispatch(
      stream, [&] { cpu::count_correct(logits, labels, count, stream); },
      [&] { cuda::count_correct(logits, labels, count, stream); });
}

}  // namespace gpucnn::kernels
