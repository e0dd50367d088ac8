#pragma once

#include <algorithm>
#include <cmath>

#include <gpucnn/kernels/optim/adam.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// Algorithm 1 of Kingma and Ba, "Adam" (ICLR 2015), with the weight decay of `torch.optim.Adam` or `AdamW`. `max_v`: null, or the
/// state of AMSGrad as PyTorch has it.
inline void adam(const Values& dweight, const kernels::AdamStep& step, Values& weight, Values& m, Values& v,
                 Values* max_v = nullptr) {
  const auto t = static_cast<double>(step.step);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    double g = step.maximize ? -dweight[i] : dweight[i];
    if (step.decoupled) {
      weight[i] *= 1 - step.lr * step.weight_decay;
    } else {
      g += step.weight_decay * weight[i];
    }
    m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
    if (max_v) (*max_v)[i] = std::max((*max_v)[i], v[i]);
    const double square = max_v ? (*max_v)[i] : v[i];
    const double m_hat = m[i] / (1 - std::pow(step.beta1, t)), v_hat = square / (1 - std::pow(step.beta2, t));
    weight[i] -= step.lr * m_hat / (std::sqrt(v_hat) + step.eps);
  }
}

}  // namespace gpucnn::reference
