#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// How stored images become a batch.
struct ImageTransform {
  std::span<const float> mean, std;  ///< per channel, for values in [0, 1]; both empty: no normalisation
  int crop_padding = 0;              ///< zeros around the image before a random crop of its own size; 0: no crop
  bool flip = false;                 ///< mirror left to right with probability 1/2
  std::uint64_t seed = 0;            ///< of the crop and flip streams
  std::uint64_t epoch = 0;           ///< their step
  std::int64_t first = 0;            ///< the position in the epoch of the batch's first image
};

/// batch[i] = transform(images[indices[i]]), batch_labels[i] = labels[indices[i]].
///
/// images: u8 or f32 [M, C, H, W]; labels: i32 [M]; N indices, each in [0, M); batch: f32 [N, C, H, W]; batch_labels: i32 [N].
/// Throws `std::invalid_argument` for an index outside and a negative
/// padding. So it does for a mean or std that has not C values or is not finite, and for a std that is not > 0.
///
/// The transform divides u8 values by 255 and takes f32 values as they are. Then it crops, mirrors and normalises, (value -
/// mean[c]) / std[c], each operation rounded to f32. That is torchvision's order: padding is 0 before normalisation.
///
/// With e = first + i, crops = RandomStream(seed, Purpose::crop, 0, epoch) and flips = RandomStream(seed, Purpose::flip, 0, epoch):
///   row and column offset of the crop: crops.below(2 e, 2 crop_padding + 1), crops.below(2 e + 1, 2 crop_padding + 1)
///   mirrored: whether the highest bit of flips.word(e) is 1
GPUCNN_API void image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                            const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream& stream);

/// The same without labels.
GPUCNN_API void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform,
                            Tensor& batch, Stream& stream);

/// `image_batch` with labels for the next N indices of an epoch: order[transform.first] to order[transform.first + N - 1]. order:
/// i64 [L] on the stream's device, each entry in [0, M), with 0 <= transform.first <= L - N.
///
/// A GPU does not check the entries of `order`: one outside is taken for the nearest inside. While a step is captured there,
/// StepState replaces transform.first and transform.epoch. The caller then keeps the position inside `order`, and images of more
/// than 16 channels cannot be normalised.
GPUCNN_API void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform,
                              Tensor& batch, Tensor& batch_labels, Stream& stream);

/// The same without labels, for the N images that batch has.
GPUCNN_API void ordered_batch(const Tensor& images, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                              Stream& stream);

/// batch[i] = rows[indices[i]]: numbers that belong to images, as they are. rows: f32 [M, …]; N indices, each in [0, M); batch: f32
/// [N, …]. Throws `std::invalid_argument` for an index outside.
GPUCNN_API void row_batch(const Tensor& rows, std::span<const std::int64_t> indices, Tensor& batch, Stream& stream);

/// `row_batch` for the next N indices of an epoch: order[first] to order[first + N - 1], as `ordered_batch` takes them. So a
/// captured step's StepState replaces `first`.
GPUCNN_API void ordered_rows(const Tensor& rows, const Tensor& order, std::int64_t first, Tensor& batch, Stream& stream);

}  // namespace gpucnn::kernels
