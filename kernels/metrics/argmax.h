#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y[n] = the index of the largest x[n, c]; the first of equals, and the first NaN if there is one. x: f32 [N, C] with C > 0,
/// y: i64 [N].
GPUCNN_API void argmax(const Tensor& x, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
