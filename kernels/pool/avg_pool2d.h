#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

namespace gpucnn::kernels {

/// [N, C, H, W] -> [N, C, Ho, Wo] as `max_pool2d_shape` counts windows. Throws `std::invalid_argument` for a rank other than 4, a
/// window that does not fit, or options out of their bounds.
GPUCNN_API Shape avg_pool2d_shape(const Shape& x, const AvgPool2dOptions& pool);

/// y[n, c, i, j] = the sum of the window at (i, j), whose padding is 0, / its divisor, as PyTorch's AvgPool2d. The divisor is
/// `divisor_override`, else the number of elements in the window: without those that `ceil_mode` lets lie beyond the padding, and
/// without those of the padding unless `count_include_pad`.
///
/// x: f32, on a GPU also bf16, [N, C, H, W]; y: `avg_pool2d_shape` of its dtype. Sums are added in f32.
GPUCNN_API void avg_pool2d(const Tensor& x, const AvgPool2dOptions& pool, Tensor& y, Stream& stream);

/// dx = the sum of dy / divisor over the windows that the element lies in. dy: [N, C, Ho, Wo]; dx: [N, C, H, W] of dy's dtype.
GPUCNN_API void avg_pool2d_backward(const Tensor& dy, const AvgPool2dOptions& pool, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
