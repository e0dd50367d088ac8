#pragma once

#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/norm/norm_epilogue.h>

namespace gpucnn::kernels {

/// Batch normalisation over N, H and W: Ioffe and Szegedy, "Batch Normalization" (2015), as PyTorch's. Here x, y, dy, dx: f32, on
/// a GPU also bf16, [N, C, H, W]; all else is f32. Sums are made in double, in an order that does not depend on the number of
/// threads. `statistics`: [4, C], with the rows mean, rounding error of the mean, 1 / sqrt(var + eps), var.

/// statistics = those of the batch, with the biased variance. x must not be empty.
GPUCNN_API void batch_norm2d_statistics(const Tensor& x, double eps, Tensor& statistics, Stream& stream);

/// statistics = those of a batch of which x is this process's part, perhaps none of it. Every process calls it with a part.
/// `center`: [C], the same in all, best near the mean; undefined for 0. Writes part.values; if the batch has none, `statistics` is
/// not written.
GPUCNN_API void batch_norm2d_statistics(const Tensor& x, double eps, const Tensor& center, PartOfBatch& part, Tensor& statistics,
                                        Stream& stream);

/// statistics = those that training has gathered; running_mean, running_var: [C].
GPUCNN_API void batch_norm2d_statistics(const Tensor& running_mean, const Tensor& running_var, double eps, Tensor& statistics,
                                        Stream& stream);

/// running = (1 - momentum) running + momentum * statistics, with the unbiased variance of `values` > 1 values for each channel.
/// Without a momentum it is 1 / num_batches_tracked: the mean of all batches. num_batches_tracked, i64 [], is incremented
/// before; the host reads nothing. Without values only that is done.
GPUCNN_API void batch_norm2d_update(const Tensor& statistics, std::int64_t values, std::optional<double> momentum,
                                    Tensor& running_mean, Tensor& running_var, Tensor& num_batches_tracked, Stream& stream);
/// The same where `values`, i64 [], was counted on the device. The variance of a single value, 0, stays as it is.
GPUCNN_API void batch_norm2d_update(const Tensor& statistics, const Tensor& values, std::optional<double> momentum,
                                    Tensor& running_mean, Tensor& running_var, Tensor& num_batches_tracked, Stream& stream);

/// y = epilogue((x - mean) / sqrt(var + eps) * weight + bias). weight, bias: [C], or undefined for 1 and 0.
GPUCNN_API void batch_norm2d(const Tensor& x, const Tensor& statistics, const Tensor& weight, const Tensor& bias,
                             const NormEpilogue& epilogue, Tensor& y, Stream& stream);

/// The gradients. `fixed`: the statistics are not those of x. dweight and dbias, undefined without weight, are added to
/// what is there where `accumulate` says so. dx is undefined where it is not wanted. The mask of a ReLU in the forward's epilogue
/// is taken within the two passes over x and dy that this is without one. With a `part` in the epilogue, dx is that of the whole
/// batch's loss, and dweight and dbias are what x adds to theirs.
struct BatchNorm2dAccumulate {
  bool dweight = false, dbias = false;
};
GPUCNN_API void batch_norm2d_backward(const Tensor& x, const Tensor& statistics, const Tensor& weight, const Tensor& dy, bool fixed,
                                      NormEpilogueBackward epilogue, BatchNorm2dAccumulate accumulate, Tensor& dweight,
                                      Tensor& dbias, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels
