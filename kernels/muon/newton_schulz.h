#pragma once

#include <array>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

// What a Newton-Schulz iteration does besides products of matrices.
namespace gpucnn::kernels {

/// y = x / max(|x|, eps), where |x| is the Frobenius norm: the root of the sum of all squares, in double, rounded to f32.
/// x, y: f32 of one shape; y may be x. The order of the sum depends on the size only. A NaN anywhere makes all of y NaN.
GPUCNN_API void normalize_matrix(const Tensor& x, double eps, Tensor& y, Stream& stream);

/// y = a * I + b * gram + c * square, with the identity matrix I. gram, square, y: f32 [S, S]; y may be gram or square.
GPUCNN_API void newton_schulz_polynomial(const Tensor& gram, const Tensor& square, const std::array<double, 3>& coefficients,
                                         Tensor& y, Stream& stream);

}  // namespace gpucnn::kernels
