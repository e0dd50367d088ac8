#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y[n, c] = exp(x[n, c]) / sum over k of exp(x[n, k]), computed from x less its row's maximum, unrounded. As in PyTorch a row
/// is NaN when it holds a NaN or +infinity or nothing but -infinity. x, y: f32, on a GPU also bf16, [N, C] or [N, C, H, W], where
/// each pixel is a row; y may be x.
GPUCNN_API void softmax(const Tensor& x, Tensor& y, Stream& stream);

/// dx = y (dy - the sum of y * dy over the row), whose rounding is corrected. y, dy, dx: as x and y of `softmax`; dx may be dy.
GPUCNN_API void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
