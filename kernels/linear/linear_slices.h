#pragma once

#include <cstdint>

#include <gpucnn/core/precision.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

/// A linear layer's matrix products in slices, for kernels behind them that add the slices anyway: PyTorch's Linear without its
/// last additions. N rows, `in_features` and `out_features` are at least 1. Results depend on shapes and values alone, and have the
/// same bits every time. With tf32 and bf16 a GPU of compute capability 8.0 or later is needed. NaN and infinities go through as
/// products do.
namespace gpucnn::kernels::cuda {

/// How many slices of in_features the forward is computed in; the shapes alone say it.
std::int64_t linear_forward_slices(std::int64_t N, std::int64_t in_features, std::int64_t out_features);

/// sums[s] = x[:, part s] weight[:, part s]^T. The parts are consecutive, so the slices add up to x weight^T.
/// x: [N, in_features] of the precision's `activation_dtype`. weight: f32 [out_features, in_features], rounded to the precision as
/// it is loaded. sums: f32 [linear_forward_slices, N, out_features].
void linear_forward_slices(const Tensor& x, const Tensor& weight, Precision precision, Tensor& sums, Stream& stream);

/// How many slices of the batch the weight's gradient is computed in; the shapes alone say it.
std::int64_t linear_backward_slices(std::int64_t N, std::int64_t in_features, std::int64_t out_features);

/// All gradients in one kernel. slices[s] = dy^T x of part s of the rows, and behind it dbias, the sum of these rows of dy.
/// dx = dy weight.
///
/// x: [N, in_features], dy: [N, out_features] and dx: [N, in_features] of the precision's `activation_dtype`. dx is undefined where
/// it is not wanted; weight may be then. weight: f32 [out_features, in_features], rounded as it is loaded. slices: f32
/// [linear_backward_slices, out_features in_features + out_features], as add_slices takes them. Without the last out_features no
/// dbias is computed. dbias adds dy as it is given: tf32 does not round what is only added.
void linear_backward_slices(const Tensor& x, const Tensor& dy, const Tensor& weight, Precision precision, Tensor& slices,
                            Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels::cuda
