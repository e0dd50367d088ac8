#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

/// The CPU's side of conv2d_relu_pool: a whole chain.
namespace gpucnn::kernels::cpu {

void conv2d_relu_pool(std::span<Conv2dReluPool> convolutions, Tensor& y);
void conv2d_relu_pool_backward(std::span<const Conv2dReluPool> convolutions, const Tensor& dy,
                               std::span<Conv2dReluPoolGradients> gradients, Tensor& dx);

/// The largest magnitude among `count` floats; infinity or NaN if there is one.
float max_abs(const float* from, std::int64_t count);

}  // namespace gpucnn::kernels::cpu
