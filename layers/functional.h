#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// Probabilities from logits: f32 [N, C] -> f32 [N, C], every row summing to 1.
GPUCNN_API Tensor softmax(const Tensor& logits);

/// The class with the largest logit, the first of equals: f32 [N, C] -> i64 [N].
GPUCNN_API Tensor argmax(const Tensor& logits);

}  // namespace gpucnn
