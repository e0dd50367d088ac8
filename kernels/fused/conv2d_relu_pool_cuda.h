#pragma once

#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

/// The CUDA twins of conv2d_relu_pool, for one convolution of a chain. Operands were checked, and y has elements.
namespace gpucnn::kernels::cuda {

/// One kernel, in fp32.
void conv2d_relu_pool(const Conv2dReluPool& conv, Tensor& y, Stream& stream);

/// One kernel, in bf16 or tf32, as x and the precision say. From compute capability 8.0 on.
void conv2d_relu_pool_tensor_cores(const Conv2dReluPool& conv, Tensor& y, Stream& stream);

/// In any precision. One kernel, and one that adds what its blocks made of dweight and dbias. `dx` is undefined where it is not
/// wanted.
void conv2d_relu_pool_backward(const Conv2dReluPool& conv, const Tensor& dy, Conv2dReluPoolGradients& gradients, Tensor& dx,
                               Stream& stream);

}  // namespace gpucnn::kernels::cuda
