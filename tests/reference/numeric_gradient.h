#pragma once

#include "reference/values.h"

namespace gpucnn::reference {

/// d f / d x by central differences, where `f` gives a number.
template <class F>
Values numeric_gradient(const F& f, Values x) {
  constexpr double kStep = 1e-5;
  Values gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double here = x[i];
    x[i] = here + kStep;
    const double above = f(x);
    x[i] = here - kStep;
    const double below = f(x);
    x[i] = here;
    gradient[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

}  // namespace gpucnn::reference
