#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// The shape of two tensors side by side along dimension 1, as `torch.cat((a, b), dim=1)`: [N, C1, …], [N, C2, …] -> [N, C1 + C2,
/// …]. Throws `std::invalid_argument` for fewer than 2 dimensions, and for shapes that differ elsewhere than in dimension 1.
GPUCNN_API Shape concat_shape(const Shape& a, const Shape& b);

/// whole[:, first : first + C] = part. part: f32, on a GPU also bf16, [N, C, …]; whole: the same but for dimension 1, in memory of
/// its own. Throws `std::invalid_argument` where the part does not fit.
GPUCNN_API void put_channels(const Tensor& part, std::int64_t first, Tensor& whole, Stream& stream);

/// The inverse, and so the gradient: part = whole[:, first : first + C].
GPUCNN_API void take_channels(const Tensor& whole, std::int64_t first, Tensor& part, Stream& stream);

}  // namespace gpucnn::kernels
