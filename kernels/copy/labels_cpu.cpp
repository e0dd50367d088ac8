#include <stdexcept>
#include <utility>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {
namespace {

template <class T>
void convert(const T* labels, std::int64_t N, std::int64_t num_classes, std::optional<std::int32_t> ignored, std::int32_t* y) {
  const bool any = num_classes == kAnyClass;
  for (std::int64_t n = 0; n < N; ++n) {
    const auto label = static_cast<std::int64_t>(labels[n]);
    if (any && !std::in_range<std::int32_t>(label)) {
      throw std::invalid_argument(formatted("to_i32: label {} at index {} is not an i32", label, n));
    }
    if (!any && (label < 0 || label >= num_classes) && !(ignored && label == *ignored)) {
      throw std::invalid_argument(formatted("to_labels: label {} at index {} is outside [0, {})", label, n, num_classes));
    }
    y[n] = static_cast<std::int32_t>(label);
  }
}

}  // namespace

void cpu::to_labels(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y, Stream&) {
  const std::int64_t N = labels.numel();
  std::int32_t* to = y.data<std::int32_t>();
  switch (labels.dtype()) {
    case DType::u8: return convert(labels.data<std::uint8_t>(), N, num_classes, ignored, to);
    case DType::i32: return convert(labels.data<std::int32_t>(), N, num_classes, ignored, to);
    default: return convert(labels.data<std::int64_t>(), N, num_classes, ignored, to);
  }
}

}  // namespace gpucnn::kernels
