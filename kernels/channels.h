#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cuda {

/// Copies x to `padded`, which has as many channels or more, with zeros behind those of x. Both f32 and of the same rank and other
/// extents; the channels are the innermost dimension in memory: dim(1) of rank 4, else the last.
void pad_channels(const Tensor& x, Tensor& padded, Stream& stream);

/// The way back: x = what `padded` holds in x's channels, added to what is there where `accumulate` says so.
void unpad_channels(const Tensor& padded, bool accumulate, Tensor& x, Stream& stream);

}  // namespace gpucnn::kernels::cuda
