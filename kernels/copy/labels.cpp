#include <gpucnn/kernels/copy/labels.h>

#include <limits>
#include <string_view>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {
namespace {

void check_labels(std::string_view op, const Tensor& labels, const Tensor& y, const Stream& stream) {
  const DType dtype = labels.dtype();
  const bool integers = dtype == DType::u8 || dtype == DType::i32 || dtype == DType::i64;
  check_value(op, "labels", name_of(dtype), !labels.defined() || integers, "u8, i32 or i64");
  check_tensor(op, "labels", labels, dtype, stream);
  check_rank(op, "labels", labels, 1);
  check_tensor(op, "y", y, labels.shape(), DType::i32, stream);
}

void convert(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y, Stream& stream) {
  dispatch(
      stream, [&] { cpu::to_labels(labels, num_classes, ignored, y, stream); },
      [&] { cuda::to_labels(labels, num_classes, ignored, y, stream); });
}

}  // namespace

void to_labels(const Tensor& labels, std::int64_t num_classes, Tensor& y, Stream& stream) {
  to_labels(labels, num_classes, std::nullopt, y, stream);
}

void to_labels(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y, Stream& stream) {
  check_labels("to_labels", labels, y, stream);
  check_value("to_labels", "num_classes", num_classes, num_classes >= 0 && num_classes <= std::numeric_limits<std::int32_t>::max(),
              "in [0, 2^31)");
  convert(labels, num_classes, ignored, y, stream);
}

void to_i32(const Tensor& labels, Tensor& y, Stream& stream) {
  check_labels("to_i32", labels, y, stream);
  convert(labels, kAnyClass, {}, y, stream);
}

}  // namespace gpucnn::kernels
