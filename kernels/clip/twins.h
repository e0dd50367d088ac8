#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/clip/clip_grad.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of clipping.
namespace gpucnn::kernels {

GPUCNN_TWINS(void vector_norm(const Tensor& x, double norm_type, Tensor& norm, Stream& stream))
GPUCNN_TWINS(void clip_by_norm(const Tensor& total_norm, float max_norm, Tensor& gradient, Stream& stream))
GPUCNN_TWINS(void clip_by_value(float clip_value, Tensor& gradient, Stream& stream))

}  // namespace gpucnn::kernels
