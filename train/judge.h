#pragma once

#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/train/metrics.h>

namespace gpucnn {

/// What a model's output on a batch came to. `labels`: as the loss prepared them; `loss_value`: f32 [], what it made of them.
Metrics judge(const Loss& loss, const Tensor& output, const Tensor& labels, const Tensor& loss_value);

}  // namespace gpucnn
