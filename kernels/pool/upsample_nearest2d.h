#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/size2.h>

namespace gpucnn::kernels {

/// [N, C, H, W] -> [N, C, H * height, W * width] of the scale. Throws `std::invalid_argument` for another rank, images without a
/// pixel, or a scale below 1.
GPUCNN_API Shape upsample_nearest2d_shape(const Shape& x, Size2 scale);

/// y[n, c, i, j] = x[n, c, i / height, j / width], as PyTorch's Upsample with mode "nearest". x: f32, on a GPU also bf16,
/// [N, C, H, W]; y: `upsample_nearest2d_shape` of its dtype.
GPUCNN_API void upsample_nearest2d(const Tensor& x, Size2 scale, Tensor& y, Stream& stream);

/// dx = the sum of dy over the elements that the element was copied to, added in f32. dy: the shape of y; dx: [N, C, H, W] of dy's
/// dtype.
GPUCNN_API void upsample_nearest2d_backward(const Tensor& dy, Size2 scale, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
