#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/image/image_transform.h>

namespace gpucnn::kernels {

/// batch[i] = transform(images[indices[i]]), batch_labels[i] = labels[indices[i]].
///
/// images: u8 or f32 [M, C, H, W]; labels: i32 [M]; N indices, each in [0, M); batch: f32, transform.batch_shape(images.shape(),
/// N); batch_labels: i32 [N]. Throws `std::invalid_argument` for an index outside and for options outside their range. So it does
/// for a mean or std that has not C values or is not finite, and for a std that is not > 0.
///
/// The transform divides u8 values by 255 and takes f32 values as they are. Then it crops, mirrors, changes the colours (see
/// color_jitter.h), normalises, (value - mean[c]) / std[c], each operation rounded to f32, and cuts out (see cutout.h). That is
/// torchvision's order: padding is 0 before normalisation, and what is cut out is 0 behind it.
///
/// With e = first + i, crops = RandomStream(seed, Purpose::crop, 0, epoch) and flips = RandomStream(seed, Purpose::flip, 0, epoch):
///   row and column offset of the crop: crops.below(2 e, 2 crop_padding + 1), crops.below(2 e + 1, 2 crop_padding + 1)
///   mirrored: whether the highest bit of flips.word(e) is 1
///
/// Flips that alternate mirror image number n in even epochs if the highest bit of RandomStream(seed, Purpose::flip, 1, 0).word(n)
/// is 1, else in odd epochs: Jordan, "94 % on CIFAR-10 in 3.29 seconds on a single GPU" (2024).
///
/// A random resized crop is torchvision's: try t takes words a, b, c and d, 4 (10 e + t) and following, of RandomStream(seed,
/// Purpose::augment, 2, epoch). With a drawn uniformly from `scale` and log(ratio) from b, w = sqrt(a H W ratio) and h = sqrt(a H W
/// / ratio) are rounded to the nearest, ties to even. If both are > 0 and fit, the part begins at row c (H - h + 1) / 2^32 and
/// column d (W - w + 1) / 2^32. If none of ten fits, it is the largest in the middle whose ratio is allowed. It is resized as
/// torch.nn.functional.interpolate does, bilinear, without align_corners and antialias. The two devices' exp may differ in the last
/// bit of a double.
GPUCNN_API void image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                            const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream& stream);

/// The same without labels.
GPUCNN_API void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform,
                            Tensor& batch, Stream& stream);

/// `image_batch` with labels for the next N indices of an epoch: order[transform.first] to order[transform.first + N - 1]. order:
/// i64 [L] on the stream's device, each entry in [0, M), with 0 <= transform.first <= L - N. On a GPU batch may be bf16: then all
/// is computed in f32, and rounded once.
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
