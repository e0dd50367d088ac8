#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// The twins of pooling.
namespace gpucnn::kernels {

/// A window and a stride of 2 without padding, for which the twins have loops of their own.
inline bool is_halving(const Pool2d& pool) {
  return pool.kernel_size == 2 && pool.stride == 2 && pool.padding == 0 && pool.dilation == 1 && !pool.ceil_mode;
}

GPUCNN_TWINS(void max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream))
GPUCNN_TWINS(void max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream))

}  // namespace gpucnn::kernels
