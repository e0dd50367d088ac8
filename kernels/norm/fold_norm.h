#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// A BatchNorm2d of K channels with fixed statistics. f32 [K]; weight and bias undefined for 1 and 0.
struct FixedNorm {
  Tensor running_mean, running_var, weight, bias;
  double eps;
};

/// The weight and bias with which a convolution does the work of the norm behind it, too. With s = norm.weight /
/// sqrt(running_var + eps) of the output channel, folded_weight = weight * s and folded_bias = (bias - running_mean) * s +
/// norm.bias.
///
/// weight: f32 [K, C / groups, kH, kW]; bias: f32 [K] or undefined. Outputs are f32 or, on a GPU, bf16; both are rounded once.
///
/// Results differ from those of the two by rounding, relative to the largest product in a window. Where a product weight * s
/// overflows, or s is 0 or infinite, numbers that are not finite may come where the two have others.
GPUCNN_API void fold_norm(const Tensor& weight, const Tensor& bias, const FixedNorm& norm, Tensor& folded_weight,
                          Tensor& folded_bias, Stream& stream);

}  // namespace gpucnn::kernels
