#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y = a + b, element by element. a, b, y: f32, on a GPU also bf16 (rounded once), of one shape; y may be a or b.
GPUCNN_API void add(const Tensor& a, const Tensor& b, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
