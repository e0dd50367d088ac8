#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/image/image_batch.h>

namespace gpucnn::kernels {

/// The next batch of an epoch: images and labels by their places in `order`. With p(i) = order[transform.first + i], batch is what
/// `image_batch` gives for the indices p(0) to p(N - 1), and batch_labels[i] = labels[p(i)]. images: u8 or f32 [M, C, H, W];
/// labels: i32 [M]; order: i64 [L], each in [0, M), with 0 <= transform.first <= L - N; batch: f32 [N, C, H, W]; batch_labels: i32
/// [N]. Throws `std::invalid_argument` where `image_batch` does.
///
/// On a GPU nobody looks at the entries of `order`: one outside is taken for the nearest inside. While a step is captured there,
/// the step's state (StepState) replaces transform.first and transform.epoch, and what its place is in `order` is the caller's
/// matter; images of more than 16 channels cannot be normalised then.
GPUCNN_API void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform,
                              Tensor& batch, Tensor& batch_labels, Stream& stream);

}  // namespace gpucnn::kernels
