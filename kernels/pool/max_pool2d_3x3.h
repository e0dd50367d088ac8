#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// `cuda::max_pool2d` and its backward for windows of 3x3 by a stride of 2, the pooling of most stems: the same bits, at the speed
/// of memory.
namespace gpucnn::kernels::cuda {

/// Whether they did it. They do for this window without dilation, with any padding and `ceil_mode`. C is a multiple of 4, and each
/// tensor can be read four channels at a time. No tensor has 2^31 elements or more. Tensors are those of `max_pool2d`.
bool max_pool2d_3x3(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream);
bool max_pool2d_3x3_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels::cuda
