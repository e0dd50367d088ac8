#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y = x in y's dtype: f32 to bf16, rounded to the nearest, ties to even, or bf16 to f32, exactly. The same shape.
GPUCNN_API void cast(const Tensor& x, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
