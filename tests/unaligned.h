#pragma once

#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// A copy whose memory begins one element behind a boundary, as that of a view may, so that no vector can be read from there.
inline Tensor unaligned(const Tensor& tensor) {
  Tensor copy = Tensor::empty({tensor.numel() + 1}, tensor.dtype(), tensor.device()).view(1, tensor.shape());
  copy.copy_from(tensor);
  return copy;
}

}  // namespace gpucnn
