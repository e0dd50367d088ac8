#include <gpucnn/kernels/image/image_batch.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/augment/check_augment.h>
#include <gpucnn/kernels/augment/color_jitter.h>
#include <gpucnn/kernels/augment/cutout.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/image/check_crop.h>
#include <gpucnn/kernels/image/indices.h>
#include <gpucnn/kernels/image/ordered_batch.h>
#include <gpucnn/kernels/image/twins.h>

namespace gpucnn::kernels {
namespace {

/// For N of `images`, [M, C, H, W].
void check_transform(std::string_view op, const ImageTransform& transform, const Shape& images, std::int64_t N) {
  const std::int64_t channels = images[1];
  const std::size_t wanted = transform.mean.empty() && transform.std.empty() ? 0 : static_cast<std::size_t>(channels);
  if (transform.mean.size() != wanted || transform.std.size() != wanted) {
    throw std::invalid_argument(formatted("{}: images of {} channels, got {} values of mean and {} of std", op, channels,
                                          transform.mean.size(), transform.std.size()));
  }
  for (float mean : transform.mean) {
    if (!std::isfinite(mean)) throw std::invalid_argument(formatted("{}: mean must be finite, got {}", op, mean));
  }
  for (float std : transform.std) {
    if (!(std > 0)) throw std::invalid_argument(formatted("{}: std must be > 0, got {}", op, std));
    if (!std::isfinite(std)) throw std::invalid_argument(formatted("{}: std must be finite, got {}", op, std));
  }
  if (transform.crop_padding < 0) {
    throw std::invalid_argument(formatted("{}: crop_padding must be >= 0, got {}", op, transform.crop_padding));
  }
  if (transform.random_resized_crop) check_random_resized_crop(op, *transform.random_resized_crop, images[2], images[3]);
  check_one_way(op, transform.random_resized_crop.has_value(), transform.crop_padding, transform.flip, transform.alternating_flip);
  check_color_jitter(op, transform.color_jitter, channels);
  const Shape batch = transform.batch_shape(images, N);
  check_cutout(op, transform.cutout, batch[2], batch[3]);
}

void check_images(std::string_view op, const Tensor& images, const Stream& stream) {
  check_tensor(op, "images", images, images.dtype() == DType::u8 ? DType::u8 : DType::f32, stream);
  check_rank(op, "images", images, 4);
}

void check_image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform,
                       const Tensor& batch, const Stream& stream) {
  constexpr const char* kOp = "image_batch";
  check_images(kOp, images, stream);
  check_indices(kOp, indices, images.dim(0));
  const auto N = static_cast<std::int64_t>(indices.size());
  check_transform(kOp, transform, images.shape(), N);
  if (!transform.numbers.empty() && transform.numbers.size() != indices.size()) {
    throw std::invalid_argument(
        formatted("{}: {} images need as many numbers, got {}", kOp, indices.size(), transform.numbers.size()));
  }
  check_tensor(kOp, "batch", batch, transform.batch_shape(images.shape(), N), DType::f32, stream);
}

/// N of `images` images by the entries of `order` from `first` on.
void check_order(std::string_view op, const Tensor& order, std::int64_t first, std::int64_t N, std::int64_t images,
                 const Stream& stream) {
  check_tensor(op, "order", order, DType::i64, stream);
  check_rank(op, "order", order, 1);
  const std::int64_t length = order.dim(0);
  check_value(op, "the number of images", images, N == 0 || images > 0, "> 0");
  if (first >= 0 && first <= length - N) return;
  std::int64_t last = 0;
  if (__builtin_add_overflow(first, N - 1, &last)) last = std::numeric_limits<std::int64_t>::max();
  throw std::invalid_argument(formatted("{}: positions {} to {} are not in an order of {}", op, first, last, length));
}

void check_rows(std::string_view op, const Tensor& rows, const Stream& stream) {
  check_tensor(op, "rows", rows, DType::f32, stream);
  check_value(op, "the rank of rows", rows.rank(), rows.rank() > 0, "> 0");
}

/// Rows of any shape as images of one channel and one line, which no transform changes.
Tensor as_images(const Tensor& rows) {
  const std::int64_t N = rows.dim(0);
  return rows.view(0, {N, 1, 1, N > 0 ? rows.numel() / N : 0});
}

/// What `gather` does, which crops, mirrors and normalises by the transform that it is given, and what comes between and behind.
template <class Gather>
void augment(const ImageTransform& transform, Tensor& batch, Stream& stream, const Gather& gather) {
  if (!transform.color_jitter.any()) {
    gather(transform);
  } else {
    ImageTransform first = transform;
    first.mean = first.std = {};
    gather(first);
    color_jitter(batch, transform.color_jitter, transform.position(), stream);
    if (!transform.mean.empty() && batch.numel() > 0) {
      dispatch(
          stream, [&] { cpu::normalize_images(batch, transform.mean, transform.std, batch, stream); },
          [&] { cuda::normalize_images(batch, transform.mean, transform.std, batch, stream); });
    }
  }
  if (transform.cutout > 0) cutout(batch, transform.cutout, transform.position(), stream);
}

/// What both of `image_batch` do; `labels` and `batch_labels` may be undefined.
void gather_indexed(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                    const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream& stream) {
  augment(transform, batch, stream, [&](const ImageTransform& here) {
    dispatch(
        stream, [&] { cpu::image_batch(images, labels, indices, here, batch, batch_labels, stream); },
        [&] { cuda::image_batch(images, labels, indices, here, batch, batch_labels, stream); });
  });
}

/// What both of `ordered_batch` do; `labels` and `batch_labels` may be undefined.
void gather_ordered(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                    Tensor& batch_labels, Stream& stream) {
  // What changes colours and cuts squares out works in f32.
  const bool apart = batch.dtype() != DType::f32 && (transform.color_jitter.any() || transform.cutout > 0);
  Tensor values = apart ? Tensor::empty(batch.shape(), DType::f32, batch.device()) : batch;
  augment(transform, values, stream, [&](ImageTransform here) {
    here.numbers = {};  // those of `order`
    dispatch(
        stream, [&] { cpu::ordered_batch(images, labels, order, here, values, batch_labels, stream); },
        [&] { cuda::ordered_batch(images, labels, order, here, values, batch_labels, stream); });
  });
  if (!apart || batch.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::normalize_images(values, {}, {}, batch, stream); },
      [&] { cuda::normalize_images(values, {}, {}, batch, stream); });
}

}  // namespace

void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch,
                 Stream& stream) {
  check_image_batch(images, indices, transform, batch, stream);
  Tensor none;
  gather_indexed(images, none, indices, transform, batch, none, stream);
}

void image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices, const ImageTransform& transform,
                 Tensor& batch, Tensor& batch_labels, Stream& stream) {
  check_image_batch(images, indices, transform, batch, stream);
  check_tensor("image_batch", "labels", labels, Shape{images.dim(0)}, DType::i32, stream);
  check_tensor("image_batch", "batch_labels", batch_labels, Shape{indices.size()}, DType::i32, stream);
  gather_indexed(images, labels, indices, transform, batch, batch_labels, stream);
}

void check_ordered_batch(std::string_view op, const OrderedBatch& all, const Stream& stream) {
  const auto& [images, labels, order, transform, batch, batch_labels] = all;
  check_images(op, images, stream);
  if (labels.defined()) {
    check_tensor(op, "labels", labels, Shape{images.dim(0)}, DType::i32, stream);
    check_tensor(op, "batch_labels", batch_labels, DType::i32, stream);
    check_rank(op, "batch_labels", batch_labels, 1);
  }
  const DType dtype = check_activation(op, "batch", batch, stream);
  const std::int64_t N = labels.defined() ? batch_labels.dim(0) : batch.rank() == 4 ? batch.dim(0) : 0;
  check_transform(op, transform, images.shape(), N);
  check_tensor(op, "batch", batch, transform.batch_shape(images.shape(), N), dtype, stream);
  check_order(op, order, transform.first, N, images.dim(0), stream);
}

void ordered_batch(const OrderedBatch& all, Stream& stream) {
  check_ordered_batch("ordered_batch", all, stream);
  Tensor batch = all.batch, batch_labels = all.labels.defined() ? all.batch_labels : Tensor();
  gather_ordered(all.images, all.labels, all.order, all.transform, batch, batch_labels, stream);
}

void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                   Tensor& batch_labels, Stream& stream) {
  check_tensor("ordered_batch", "labels", labels, DType::i32, stream);
  ordered_batch({images, labels, order, transform, batch, batch_labels}, stream);
}

void ordered_batch(const Tensor& images, const Tensor& order, const ImageTransform& transform, Tensor& batch, Stream& stream) {
  ordered_batch({images, {}, order, transform, batch, {}}, stream);
}

void row_batch(const Tensor& rows, std::span<const std::int64_t> indices, Tensor& batch, Stream& stream) {
  constexpr const char* kOp = "row_batch";
  check_rows(kOp, rows, stream);
  check_indices(kOp, indices, rows.dim(0));
  check_tensor(kOp, "batch", batch, rows.shape().with(0, static_cast<std::int64_t>(indices.size())), DType::f32, stream);
  Tensor to = as_images(batch);
  const Tensor from = rows.view(0, to.shape().with(0, rows.dim(0)));
  image_batch(from, indices, {}, to, stream);
}

void ordered_rows(const Tensor& rows, const Tensor& order, std::int64_t first, Tensor& batch, Stream& stream) {
  constexpr const char* kOp = "ordered_rows";
  check_rows(kOp, rows, stream);
  const std::int64_t N = batch.rank() > 0 ? batch.dim(0) : 0;
  check_tensor(kOp, "batch", batch, rows.shape().with(0, N), DType::f32, stream);
  check_order(kOp, order, first, N, rows.dim(0), stream);
  Tensor to = as_images(batch);
  const Tensor from = rows.view(0, to.shape().with(0, rows.dim(0)));
  ordered_batch(from, order, {.first = first}, to, stream);
}

}  // namespace gpucnn::kernels
