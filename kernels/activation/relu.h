#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y = max(x, 0), element by element; NaN stays NaN, as in PyTorch. x, y: f32, on a GPU also bf16, the same shape; y may be x.
GPUCNN_API void relu(const Tensor& x, Tensor& y, Stream& stream);

/// dx = y <= 0 ? 0 : dy, where y is what `relu` gave; where y is NaN, dx is dy, as in PyTorch. y, dy, dx: f32, on a GPU also bf16,
/// the same shape; dx may be dy.
GPUCNN_API void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
