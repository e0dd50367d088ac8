#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/size2.h>

/// Poolings into a given number of bins, as PyTorch's. Bin i of H rows into Ho goes from floor(i H / Ho) to ceil((i + 1) H / Ho).
namespace gpucnn::kernels {

/// [N, C, H, W] -> [N, C, output_size]. Throws `std::invalid_argument` for a rank other than 4, an image of no pixels, one of more
/// than 2^31 - 1 pixels, or an output_size below 1.
GPUCNN_API Shape adaptive_pool2d_shape(const Shape& x, Size2 output_size);

/// y = the mean of each bin. x: f32, on a GPU also bf16, [N, C, H, W]; y: [N, C, Ho, Wo] of its dtype. Sums are added in f32.
GPUCNN_API void adaptive_avg_pool2d(const Tensor& x, Tensor& y, Stream& stream);

/// dx = the sum of dy / size over the bins that the element lies in. dy: [N, C, Ho, Wo]; dx: [N, C, H, W] of dy's dtype.
GPUCNN_API void adaptive_avg_pool2d_backward(const Tensor& dy, Tensor& dx, Stream& stream);

/// y = the largest x of each bin. Of equal elements the first in row order wins, and the last NaN. x, y as above; argmax: i32 in
/// y's shape, the winner's place in its image, row * W + column. Where no backward will follow argmax is undefined.
GPUCNN_API void adaptive_max_pool2d(const Tensor& x, Tensor& y, Tensor& argmax, Stream& stream);

/// dx = the sum of the dy whose bin the element won, added in f32. dy, argmax: [N, C, Ho, Wo]; dx: [N, C, H, W] of dy's dtype.
GPUCNN_API void adaptive_max_pool2d_backward(const Tensor& dy, const Tensor& argmax, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
