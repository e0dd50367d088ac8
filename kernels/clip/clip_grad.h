#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

/// What clipping gradients is made of. Nothing waits for the device: a norm stays where it was computed.
namespace gpucnn::kernels {

/// norm = (sum of |x|^norm_type)^(1 / norm_type), or the largest |x| where norm_type is infinity: `torch.linalg.vector_norm`. NaN
/// if an element is NaN; 0 without elements.
///
/// x: f32 of any shape; norm: f32 []. Powers are added in double, in an order that depends on nothing but x. So large elements do
/// not overflow. Throws `std::invalid_argument` unless norm_type > 0.
GPUCNN_API void vector_norm(const Tensor& x, double norm_type, Tensor& norm, Stream& stream);

/// gradient *= min(max_norm / (total_norm + 1e-6), 1), as `torch.nn.utils.clip_grads_with_norm_`. A total norm that is infinite
/// gives the factor 0, NaN gives NaN.
///
/// total_norm: f32 []; gradient: f32 of any shape. Throws `std::invalid_argument` unless max_norm >= 0.
GPUCNN_API void clip_by_norm(const Tensor& total_norm, double max_norm, Tensor& gradient, Stream& stream);

/// gradient = min(max(gradient, -clip_value), clip_value); NaN stays. As `torch.nn.utils.clip_grad_value_`.
///
/// gradient: f32 of any shape. Throws `std::invalid_argument` unless clip_value >= 0.
GPUCNN_API void clip_by_value(double clip_value, Tensor& gradient, Stream& stream);

}  // namespace gpucnn::kernels
