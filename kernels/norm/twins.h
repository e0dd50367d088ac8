#pragma once

#include <optional>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/norm/fold_norm.h>

/// The twins of batch normalisation's running statistics and of its folding; normalize.h has the others.
namespace gpucnn::kernels {

GPUCNN_TWINS(void batch_norm2d_statistics(const Tensor& running_mean, const Tensor& running_var, double eps, Tensor& statistics,
                                          Stream& stream))
/// `counted`, where it is defined, is read instead of `values`.
GPUCNN_TWINS(void batch_norm2d_update(const Tensor& statistics, std::int64_t values, const Tensor& counted,
                                      std::optional<double> momentum, Tensor& running_mean, Tensor& running_var,
                                      Tensor& num_batches_tracked, Stream& stream))

/// What a part of a batch adds to the batch's sums, f64 [1 + 2C]: how many values a channel has, and for each channel the sums of
/// their differences from its center and of the squares of those. `own`: the part's statistics. `values`: of a channel in the part;
/// 0: `own` is not read. A center that is not finite is 0.
GPUCNN_TWINS(void part_sums(const Tensor& own, std::int64_t values, const Tensor& center, double* sums, Stream& stream))
/// The batch's statistics, and its values, i64 [], from such sums. Without values `statistics` is not written.
GPUCNN_TWINS(void whole_statistics(const double* sums, const Tensor& center, double eps, Tensor& statistics, Tensor& values,
                                   Stream& stream))

GPUCNN_TWINS(void fold_norm(const Tensor& weight, const Tensor& bias, const FixedNorm& norm, Tensor& folded_weight,
                            Tensor& folded_bias, Stream& stream))

}  // namespace gpucnn::kernels
