#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// y[e] = x[e] * (random.uniform(e) < p ? 0 : 1 / (1 - p)), where e is the element's index in logical order and the factor is
/// rounded to f32; p = 1 multiplies all by 0. NaN and infinity times 0 are NaN, as in PyTorch. The mask is drawn again in the
/// backward, which is this same function on dy. x, y: f32, on a GPU also bf16, the same shape; y may be x. Throws
/// `std::invalid_argument` unless 0 <= p <= 1.
GPUCNN_API void dropout(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream);

/// The same for whole channels: e is n * C + c, one for all pixels of a channel of an image. x, y: [N, C, H, W].
GPUCNN_API void dropout2d(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
