#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Group normalisation: each image's C channels form `num_groups` groups of neighbours, and each group has a mean and a biased
/// variance of its own. Wu and He, "Group Normalization" (2018), as PyTorch's. x, y, dy, dx: f32, on a GPU also bf16,
/// [N, C, H, W]; weight and bias: f32 [C], or undefined for 1 and 0. Sums are as in batch_norm2d.h. Throws
/// `std::invalid_argument` unless num_groups divides C.

/// y = (x - mean) / sqrt(var + eps) * weight + bias. `statistics`, f32 [4, N * num_groups], is written for the backward.
GPUCNN_API void group_norm(const Tensor& x, std::int64_t num_groups, double eps, const Tensor& weight, const Tensor& bias,
                           Tensor& statistics, Tensor& y, Stream& stream);

/// The gradients. dweight and dbias, undefined without weight, are added to what is there where `accumulate` says so. dx is
/// undefined where it is not wanted.
struct GroupNormAccumulate {
  bool dweight = false, dbias = false;
};
GPUCNN_API void group_norm_backward(const Tensor& x, std::int64_t num_groups, const Tensor& statistics, const Tensor& weight,
                                    const Tensor& dy, GroupNormAccumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx,
                                    Stream& stream);

}  // namespace gpucnn::kernels
