#pragma once

#include <cmath>

#include <gpucnn/kernels/optim/rmsprop.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// The state of an RMSprop in float64.
struct RmspropValues {
  Values square_avg, momentum_buffer, grad_avg;
};

/// `torch.optim.RMSprop`, as its documentation has the algorithm.
inline void rmsprop(const Values& dweight, const kernels::RmspropStep& step, Values& weight, RmspropValues& state) {
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double g = (step.maximize ? -dweight[i] : dweight[i]) + step.weight_decay * weight[i];
    double& v = state.square_avg[i];
    v = step.alpha * v + (1 - step.alpha) * g * g;
    double variance = v;
    if (step.centered) {
      double& mean = state.grad_avg[i];
      mean = step.alpha * mean + (1 - step.alpha) * g;
      variance -= mean * mean;
    }
    double change = g / (std::sqrt(variance) + step.eps);
    if (step.momentum > 0) change = state.momentum_buffer[i] = step.momentum * state.momentum_buffer[i] + change;
    weight[i] -= step.lr * change;
  }
}

}  // namespace gpucnn::reference
