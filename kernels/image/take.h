#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y[i] = x[indices[i]]. x: i32 [M]; N indices, each in [0, M); y: i32 [N]. Throws `std::invalid_argument` for an index outside.
GPUCNN_API void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
