#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/reduction.h>

namespace gpucnn::kernels {

/// PyTorch's options of the cross-entropy.
struct CrossEntropyOptions {
  Tensor weight = {};                ///< of each class, f32 [C]; undefined: 1
  std::int32_t ignore_index = -100;  ///< rows with this label count for nothing; probabilities have none
  Reduction reduction = Reduction::mean;
  double label_smoothing = 0;  ///< in [0, 1]: the share of each target that is spread evenly over all classes
};

/// The cross-entropy with PyTorch's options, and its gradient. With eps = label_smoothing, w = weight, and
///   q[n, c] = w[c] ((1 - eps) t[n, c] + eps / C),   t = one_hot(targets), or targets if they are probabilities,
///   loss = sum over n and c of -q[n, c] log softmax(logits)[n, c], / D,
///   dlogits[n, c] = (softmax(logits)[n, c] (sum over k of q[n, k]) - q[n, c]) / D.
/// D is 1 for `sum`. For `mean` it is the sum of w[label] over the rows that count, or N for probabilities. A row whose label is
/// `ignore_index` counts for nothing, and its dlogits is 0. Where D is 0, a mean is NaN as in PyTorch. So is the loss for a class
/// of probability 0 with a logit of -infinity, while the label's class alone is read without smoothing.
///
/// logits: f32 [N, C]; targets: i32 [N] in [0, C) or `ignore_index`, or f32 [N, C]; loss: f32 []; dlogits: f32 [N, C], apart from
/// logits. All is added in double, in an order that depends on N and C only.
///
/// The CPU throws `std::invalid_argument` for a label outside. On a GPU the loss and that row's dlogits are NaN.
GPUCNN_API void cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options, Tensor& loss,
                              Tensor& dlogits, Stream& stream);

}  // namespace gpucnn::kernels
