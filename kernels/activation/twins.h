#pragma once

#include <gpucnn/core/random.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of this family. Arguments were checked by the function of the same name in gpucnn::kernels, whose contract they keep.
namespace gpucnn::kernels {

GPUCNN_TWINS(void activation(const Tensor& x, const Activation& function, Tensor& y, Stream& stream))
GPUCNN_TWINS(void activation_backward(const Tensor& kept, const Activation& function, const Tensor& dy, Tensor& dx, Stream& stream))
GPUCNN_TWINS(void dropout(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream))
GPUCNN_TWINS(void dropout2d(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream))

}  // namespace gpucnn::kernels
