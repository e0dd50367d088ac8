#include <gpucnn/kernels/copy/labels.h>

#include <limits>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {

void to_labels(const Tensor& labels, std::int64_t num_classes, Tensor& y, Stream& stream) {
  to_labels(labels, num_classes, std::nullopt, y, stream);
}

void to_labels(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y, Stream& stream) {
  const DType dtype = labels.dtype();
  const bool integers = dtype == DType::u8 || dtype == DType::i32 || dtype == DType::i64;
  check_value("to_labels", "labels", name_of(dtype), !labels.defined() || integers, "u8, i32 or i64");
  check_tensor("to_labels", "labels", labels, dtype, stream);
  check_rank("to_labels", "labels", labels, 1);
  check_value("to_labels", "num_classes", num_classes, num_classes >= 0 && num_classes <= std::numeric_limits<std::int32_t>::max(),
              "in [0, 2^31)");
  check_tensor("to_labels", "y", y, labels.shape(), DType::i32, stream);
  dispatch(
      stream, [&] { cpu::to_labels(labels, num_classes, ignored, y, stream); },
      [&] { cuda::to_labels(labels, num_classes, ignored, y, stream); });
}

}  // namespace gpucnn::kernels
