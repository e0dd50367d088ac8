#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/common/size2.h>
#include <gpucnn/kernels/pool/pool2d_options.h>
#include <gpucnn/kernels/pool/pool_windows.h>

/// The twins of pooling.
namespace gpucnn::kernels {

/// A window and a stride of 2 without padding, for which the twins have loops of their own.
inline bool is_halving(const Pool2d& pool) {
  return pool.kernel_size == 2 && pool.stride == 2 && pool.padding == 0 && pool.dilation == 1 && !pool.ceil_mode;
}

GPUCNN_TWINS(void max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream))
GPUCNN_TWINS(void max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream))

GPUCNN_TWINS(void upsample_nearest2d(const Tensor& x, Size2 scale, Tensor& y, Stream& stream))

/// Those of averages and adaptive poolings. argmax: i32, the winner's place in its image.
GPUCNN_TWINS(void window_mean(const Tensor& x, const PoolWindows& windows, Tensor& y, Stream& stream))
GPUCNN_TWINS(void window_mean_backward(const Tensor& dy, const PoolWindows& windows, Tensor& dx, Stream& stream))
GPUCNN_TWINS(void window_max(const Tensor& x, const PoolWindows& windows, Tensor& y, Tensor& argmax, Stream& stream))
GPUCNN_TWINS(void window_max_backward(const Tensor& dy, const Tensor& argmax, const PoolWindows& windows, Tensor& dx,
                                      Stream& stream))

}  // namespace gpucnn::kernels
