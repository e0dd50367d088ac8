#pragma once

#include <gpucnn/core/backend.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// What sums over no images come to: 0, or what is there if it is added to. An undefined gradient is none.
inline void clear_gradient(Tensor& gradient, bool accumulate) {
  if (gradient.defined() && !accumulate) backend::clear(gradient.device(), gradient.bytes(), gradient.nbytes());
}

}  // namespace gpucnn::kernels
