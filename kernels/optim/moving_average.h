#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// An update of an exponential moving average, as `torch.optim.swa_utils.get_ema_multi_avg_fn(decay)`:
///   average = n_averaged == 0 ? x : average + (1 - decay) * (x - average)
/// Whole numbers are averaged in f32, decay * average + (1 - decay) * x, and what is behind the point is cut off; one that is the
/// average already stays, where PyTorch's rounding may lose 1.
///
/// x, average: f32, or of a dtype of whole numbers, of one shape, each in memory of its own. n_averaged: i64 [], how many updates
/// there were. Throws `std::invalid_argument` unless decay is in [0, 1]. In a captured step on a GPU it writes nothing once
/// StepState::failed is set.
GPUCNN_API void moving_average(const Tensor& x, double decay, const Tensor& n_averaged, Tensor& average, Stream& stream);

/// ++n_averaged, i64 [], behind the updates of all tensors. Also only while StepState::failed is not set.
GPUCNN_API void count_average(Tensor& n_averaged, Stream& stream);

}  // namespace gpucnn::kernels
