#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// [N, C, H, W] -> [N, C * H * W], and the like for any rank from 2 on. Throws `std::invalid_argument` for a smaller rank, and
/// where 63 bits do not count the features.
GPUCNN_API Shape flatten_shape(const Shape& x);

/// Images to rows in PyTorch's order: y[n, (c * H + h) * W + w] = x[n, c, h, w]. x: f32, on a GPU also bf16, [N, C, H, W],
/// channels-last in memory; y: [N, C * H * W] of its dtype. Not in place.
GPUCNN_API void flatten(const Tensor& x, Tensor& y, Stream& stream);

/// The inverse: dy: [N, C * H * W] -> dx: [N, C, H, W].
GPUCNN_API void flatten_backward(const Tensor& dy, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
