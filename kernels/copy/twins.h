#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of copies and conversions.
namespace gpucnn::kernels {

GPUCNN_TWINS(void cast(const Tensor& x, Tensor& y, Stream& stream))
GPUCNN_TWINS(void flatten(const Tensor& x, Tensor& y, Stream& stream))
GPUCNN_TWINS(void flatten_backward(const Tensor& dy, Tensor& dx, Stream& stream))
/// The num_classes of labels that must only fit i32. What a GPU reports of them has it too.
inline constexpr std::int64_t kAnyClass = -1;
GPUCNN_TWINS(void to_labels(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y,
                            Stream& stream))

}  // namespace gpucnn::kernels
