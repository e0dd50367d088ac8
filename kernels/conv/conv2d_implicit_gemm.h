#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/conv2d_options.h>

/// Convolutions as implicit GEMMs by kernels of our own, all in f32. They are for few channels, which leave tensor cores idle, and
/// for true fp32, for which cuDNN transposes channels-last to channels-first and back. Options have one group, and sizes are such
/// that `conv2d_counts_in_int`.
namespace gpucnn::kernels::cuda {

/// Whether 32-bit indices do: no tensor has 2^31 elements or nearly so many, no image or window reaches 2^28 pixels.
/// weight: [K, C, kH, kW].
bool conv2d_counts_in_int(const Shape& x, const Shape& weight, const Shape& y, const Conv2dOptions& options);

/// y = epilogue(conv(x, weight) + bias). x: [N, C, H, W], weight: [K, C, kH, kW], bias: [K] if options.bias, y:
/// [N, K, Ho, Wo], all f32 or all bf16; sums in f32.
void conv2d_implicit_gemm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options,
                          const Activation& epilogue, Tensor& y, Stream& stream);

/// dx = the gradient of x, for a stride of 1.
void conv2d_implicit_gemm_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dOptions& options, Tensor& dx,
                                        Stream& stream);

}  // namespace gpucnn::kernels::cuda
