#pragma once

#include <cstdint>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of operations that make one tensor of several.
namespace gpucnn::kernels {

/// Columns [first, first + width) of a matrix [rows, pitch], in elements.
struct ColumnBlock {
  std::int64_t rows, pitch, first, width;
};

GPUCNN_TWINS(void add(const Tensor& a, const Tensor& b, Tensor& y, Stream& stream))
/// These columns of `whole` = part, [rows, width].
GPUCNN_TWINS(void put_columns(const Tensor& part, const ColumnBlock& columns, Tensor& whole, Stream& stream))
/// part = these columns of `whole`.
GPUCNN_TWINS(void take_columns(const Tensor& whole, const ColumnBlock& columns, Tensor& part, Stream& stream))

}  // namespace gpucnn::kernels
