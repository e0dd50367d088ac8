#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// count = how many rows of logits have their largest value, the first of equals, at their label. logits: f32 [N, C] with C > 0;
/// labels: i32 [N], or probabilities, f32 [N, C], of which the largest, the first of equals, is the label; count: f32 [], exact
/// below 2^24. A row whose largest value is NaN, here or there, counts as wrong.
GPUCNN_API void count_correct(const Tensor& logits, const Tensor& labels, Tensor& count, Stream& stream);

}  // namespace gpucnn::kernels
