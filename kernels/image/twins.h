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

/// batch = (images - mean[c]) / std[c], or images if mean and std are empty. images: f32 [N, C, H, W]; batch: the same tensor, or
/// one of this shape apart from it; on a GPU it may be bf16, to which values are rounded once.
GPUCNN_TWINS(void normalize_images(const Tensor& images, std::span<const float> mean, std::span<const float> std, Tensor& batch,
                                   Stream& stream))

}  // namespace gpucnn::kernels
