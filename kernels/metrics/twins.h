#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of metrics.
namespace gpucnn::kernels {

GPUCNN_TWINS(void argmax(const Tensor& x, Tensor& y, Stream& stream))
GPUCNN_TWINS(void count_correct(const Tensor& logits, const Tensor& labels, Tensor& count, Stream& stream))

}  // namespace gpucnn::kernels
