#pragma once

#include "reference/values.h"

namespace gpucnn::reference {

inline Values relu(Values x) {
  for (double& value : x) {
    if (value < 0) value = 0;
  }
  return x;
}

/// `y` is relu's output.
inline Values relu_backward(const Values& y, Values dy) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] <= 0) dy[i] = 0;
  }
  return dy;
}

}  // namespace gpucnn::reference
