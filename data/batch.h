#pragma once

#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// Some examples: inputs [N, C, H, W], and labels [N] or targets [N, …].
struct Batch {
  Tensor inputs;
  Tensor labels;
};

}  // namespace gpucnn
