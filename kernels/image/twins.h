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

/// (value - mean[c]) / std[c] in place. images: f32 [N, C, H, W].
GPUCNN_TWINS(void normalize_images(Tensor& images, std::span<const float> mean, std::span<const float> std, Stream& stream))

}  // namespace gpucnn::kernels
