#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

namespace gpucnn::kernels {

/// [N, C, H, W] -> [N, C, Ho, Wo] with Ho = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, as PyTorch. With
/// `ceil_mode` the quotient is rounded up, and a last window that would begin at H + padding or behind it is left out. Throws
/// `std::invalid_argument` for a rank other than 4, a window that does not fit, or a Pool2d out of its bounds.
GPUCNN_API Shape max_pool2d_shape(const Shape& x, const Pool2d& pool);

/// The dtype of argmax: u8 for windows of at most 256 elements, else i32.
GPUCNN_API DType max_pool2d_argmax_dtype(const Pool2d& pool) noexcept;

/// y[n, c, i, j] = the largest x of the window at (i, j); padding never wins. Of equal elements the first in row order wins. A NaN
/// wins, the last one in row order, as in PyTorch. A window without an element of the image, which dilation can make, gives
/// -infinity.
///
/// x: f32, on a GPU also bf16, [N, C, H, W]; y: `max_pool2d_shape` of its dtype; argmax: `max_pool2d_argmax_dtype` in y's shape,
/// the winner's index in its window, row * kernel width + column. Where no backward will follow argmax is undefined.
GPUCNN_API void max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream);

/// dx = the sum of the dy whose window the element won, added in f32. dy, argmax: [N, C, Ho, Wo]; dx: [N, C, H, W] of dy's dtype.
GPUCNN_API void max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
