#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of losses and of the softmax.
namespace gpucnn::kernels {

GPUCNN_TWINS(void softmax(const Tensor& x, Tensor& y, Stream& stream))
GPUCNN_TWINS(void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Tensor& loss, Tensor& dlogits, Stream& stream))

}  // namespace gpucnn::kernels
