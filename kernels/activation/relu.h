#pragma once

#include <gpucnn/kernels/activation/activation.h>

namespace gpucnn::kernels {

inline void relu(const Tensor& x, Tensor& y, Stream& stream) { activation(x, {Activation::relu}, y, stream); }

inline void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  activation_backward(y, {Activation::relu}, dy, dx, stream);
}

}  // namespace gpucnn::kernels
