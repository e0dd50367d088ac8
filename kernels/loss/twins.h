#pragma once

#include <cstdint>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/loss/cross_entropy.h>
#include <gpucnn/kernels/loss/elementwise_loss.h>

/// The twins of losses and of the softmax.
namespace gpucnn::kernels {

GPUCNN_TWINS(void softmax(const Tensor& x, Tensor& y, Stream& stream))
GPUCNN_TWINS(void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream))
GPUCNN_TWINS(void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, std::int32_t ignore_index, Tensor& loss,
                                        Tensor& dlogits, Stream& stream))
GPUCNN_TWINS(void cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options, Tensor& loss,
                                Tensor& dlogits, Stream& stream))
GPUCNN_TWINS(void elementwise_loss(const Tensor& x, const Tensor& targets, const ElementwiseLoss& function, Tensor& loss,
                                   Tensor& dx, Stream& stream))

}  // namespace gpucnn::kernels
