#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// The twins of pooling.
namespace gpucnn::kernels {

GPUCNN_TWINS(void max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream))
GPUCNN_TWINS(void max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream))

}  // namespace gpucnn::kernels
