#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// The mean over the batch of -log softmax(logits)[n, labels[n]], and its gradient, dlogits = (softmax(logits) - one_hot(labels)) /
/// N. This is PyTorch's CrossEntropyLoss with its defaults, except that no label is ignored. An empty batch gives NaN, as in
/// PyTorch.
///
/// logits: f32 [N, C]; labels: i32 [N] in [0, C), as `to_labels` checks; loss: f32 []; dlogits: f32 [N, C]. dlogits may be logits,
/// or undefined if no backward will follow. Rows are added in double, in an order that depends on N and C only.
///
/// The CPU throws `std::invalid_argument` for a label outside. On a GPU the loss and that row's dlogits are NaN.
GPUCNN_API void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Tensor& loss, Tensor& dlogits, Stream& stream);

}  // namespace gpucnn::kernels
