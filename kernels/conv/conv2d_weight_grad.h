#pragma once

#include <gpucnn/kernels/conv/conv2d.h>

namespace gpucnn::kernels::cuda {

/// The gradients of a convolution's weight and bias by a kernel of our own, for options with one group, as sums over n, i and j:
///   dweight[k, c, r, s] = sum dy[n, k, i, j] x[n, c, i stride - padding + r dilation, j stride - padding + s dilation]
///   dbias[k] = sum dy[n, k, i, j]
/// They are added to what is there where `accumulate` says so. x: [N, C, H, W] and dy: [N, K, Ho, Wo], f32 or bf16;
/// dweight: [K, C, kH, kW]; dbias: [K] if options.bias, else undefined, both f32. Products are added in f32, in an order that
/// depends on nothing but the shapes and how x and dy are aligned: the same bits on every GPU. The sizes are such that
/// `conv2d_counts_in_int`.
void conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Conv2dOptions& options, Conv2dPlan::Accumulate accumulate,
                        Tensor& dweight, Tensor& dbias, Stream& stream);

}  // namespace gpucnn::kernels::cuda
