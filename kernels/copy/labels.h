#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Copies class labels as i32, and checks that each is in [0, num_classes). labels: u8, i32 or i64 [N], y: i32 [N], may be labels.
/// Throws `std::invalid_argument` with the first label outside and its index, and unless 0 <= num_classes < 2^31. On a GPU, where
/// only the device sees the labels, the next call that waits for it throws for a label outside.
GPUCNN_API void to_labels(const Tensor& labels, std::int64_t num_classes, Tensor& y, Stream& stream);

/// The same, but a label that equals `ignored` passes wherever it lies.
GPUCNN_API void to_labels(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y,
                          Stream& stream);

/// Copies labels as i32, whatever they stand for: whoever knows the classes checks them later. labels: u8, i32 or i64 [N], y: i32
/// [N], may be labels. Throws `std::invalid_argument` with the first label that i32 does not hold and its index, on a GPU as
/// to_labels does.
GPUCNN_API void to_i32(const Tensor& labels, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
