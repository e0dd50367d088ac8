#pragma once

#include <cmath>

#include <gpucnn/kernels/optim/adam.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// Algorithm 1 of Kingma and Ba, "Adam" (ICLR 2015), with the weight decay of `torch.optim.Adam` or `AdamW`.
inline void adam(const Values& dweight, const kernels::AdamStep& step, Values& weight, Values& m, Values& v) {
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
    const double m_hat = m[i] / (1 - std::pow(step.beta1, t)), v_hat = v[i] / (1 - std::pow(step.beta2, t));
    weight[i] -= step.lr * m_hat / (std::sqrt(v_hat) + step.eps);
  }
}

}  // namespace gpucnn::reference
