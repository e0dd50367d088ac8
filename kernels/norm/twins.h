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
GPUCNN_TWINS(void batch_norm2d_update(const Tensor& statistics, std::int64_t values, std::optional<double> momentum,
                                      Tensor& running_mean, Tensor& running_var, Tensor& num_batches_tracked, Stream& stream))

GPUCNN_TWINS(void fold_norm(const Tensor& weight, const Tensor& bias, const FixedNorm& norm, Tensor& folded_weight,
                            Tensor& folded_bias, Stream& stream))

}  // namespace gpucnn::kernels
