#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cuda {

/// dbias[k] = the sum over the rows of dy [R, K], added to what is there where `accumulate` says so. dy: f32 or bf16 of any rank,
/// whose innermost dimension in memory is K; dbias: f32 [K]. Added in double, in an order that depends on R and K only.
void bias_grad(const Tensor& dy, bool accumulate, Tensor& dbias, Stream& stream);

}  // namespace gpucnn::kernels::cuda
