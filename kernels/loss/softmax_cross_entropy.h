#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// The mean of -log softmax(logits)[n, labels[n]] over the rows that count, and its gradient, dlogits = (softmax(logits) -
/// one_hot(labels)) / their number. Rows whose label is `ignore_index` count for nothing, and get a gradient of 0. This is
/// PyTorch's CrossEntropyLoss with its defaults. Without a row that counts the loss is NaN, as in PyTorch.
///
/// logits: f32 [N, C]; labels: i32 [N] in [0, C) or `ignore_index`, as `to_labels` checks; loss: f32 []; dlogits: f32 [N, C].
/// dlogits may be logits, or undefined if no backward will follow. Rows are added in double, in an order that depends on N and C
/// only.
///
/// The CPU throws `std::invalid_argument` for a label outside. On a GPU the loss and that row's dlogits are NaN.
GPUCNN_API void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, std::int32_t ignore_index, Tensor& loss,
                                      Tensor& dlogits, Stream& stream);

/// The same with PyTorch's ignore_index, -100.
GPUCNN_API void softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Tensor& loss, Tensor& dlogits, Stream& stream);

}  // namespace gpucnn::kernels
