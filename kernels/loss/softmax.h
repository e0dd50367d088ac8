#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y[n, c] = exp(x[n, c]) / sum over k of exp(x[n, k]), computed from x less its row's maximum, in double. As in PyTorch a row is
/// NaN when it holds a NaN or +infinity or nothing but -infinity. x, y: f32 [N, C]; y may be x.
GPUCNN_API void softmax(const Tensor& x, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
