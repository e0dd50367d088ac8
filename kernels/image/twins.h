#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/image/image_batch.h>

/// The twins of batches of images. Without labels, these and batch_labels are undefined.
namespace gpucnn::kernels {

GPUCNN_TWINS(void image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                              const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream& stream))
GPUCNN_TWINS(void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform,
                                Tensor& batch, Tensor& batch_labels, Stream& stream))

}  // namespace gpucnn::kernels
