#pragma once

#include <optional>

#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/step_ends.h>

namespace gpucnn {

/// This loss of these labels, for a model that has a kernel for it. None unless it is a plain CrossEntropyLoss of i32 labels [N] on
/// a GPU.
std::optional<StepEnds::Loss> loss_end(const Loss& loss, const Tensor& labels, bool wants_value);

}  // namespace gpucnn
