#pragma once

#include <gpucnn/kernels/optim/sgd.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// The algorithm in the documentation of `torch.optim.SGD`.
inline void sgd(const Values& dweight, const kernels::SgdStep& step, Values& weight, Values& velocity) {
  for (std::size_t i = 0; i < weight.size(); ++i) {
    double g = (step.maximize ? -dweight[i] : dweight[i]) + step.weight_decay * weight[i];
    if (step.momentum != 0) {
      velocity[i] = step.first ? g : step.momentum * velocity[i] + (1 - step.dampening) * g;
      g = step.nesterov ? g + step.momentum * velocity[i] : velocity[i];
    }
    weight[i] -= step.lr * g;
  }
}

}  // namespace gpucnn::reference
