#include <gpucnn/kernels/image/image_batch.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/image/indices.h>
#include <gpucnn/kernels/image/twins.h>

namespace gpucnn::kernels {
namespace {

void check_transform(std::string_view op, const ImageTransform& transform, std::int64_t channels) {
  const std::size_t wanted = transform.mean.empty() && transform.std.empty() ? 0 : static_cast<std::size_t>(channels);
  if (transform.mean.size() != wanted || transform.std.size() != wanted) {
    throw std::invalid_argument(fmt::format("{}: images of {} channels, got {} values of mean and {} of std", op, channels,
                                            transform.mean.size(), transform.std.size()));
  }
  for (float mean : transform.mean) {
    if (!std::isfinite(mean)) throw std::invalid_argument(fmt::format("{}: mean must be finite, got {}", op, mean));
  }
  for (float std : transform.std) {
    if (!(std > 0)) throw std::invalid_argument(fmt::format("{}: std must be > 0, got {}", op, std));
    if (!std::isfinite(std)) throw std::invalid_argument(fmt::format("{}: std must be finite, got {}", op, std));
  }
  if (transform.crop_padding < 0) {
    throw std::invalid_argument(fmt::format("{}: crop_padding must be >= 0, got {}", op, transform.crop_padding));
  }
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
  check_transform(kOp, transform, images.dim(1));
  check_tensor(kOp, "batch", batch, images.shape().with(0, static_cast<std::int64_t>(indices.size())), DType::f32, stream);
}

}  // namespace

void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch,
                 Stream& stream) {
  check_image_batch(images, indices, transform, batch, stream);
  Tensor none;
  dispatch(
      stream, [&] { cpu::image_batch(images, none, indices, transform, batch, none, stream); },
      [&] { cuda::image_batch(images, none, indices, transform, batch, none, stream); });
}

void image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices, const ImageTransform& transform,
                 Tensor& batch, Tensor& batch_labels, Stream& stream) {
  check_image_batch(images, indices, transform, batch, stream);
  check_tensor("image_batch", "labels", labels, Shape{images.dim(0)}, DType::i32, stream);
  check_tensor("image_batch", "batch_labels", batch_labels, Shape{indices.size()}, DType::i32, stream);
  dispatch(
      stream, [&] { cpu::image_batch(images, labels, indices, transform, batch, batch_labels, stream); },
      [&] { cuda::image_batch(images, labels, indices, transform, batch, batch_labels, stream); });
}

void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                   Tensor& batch_labels, Stream& stream) {
  constexpr const char* kOp = "ordered_batch";
  check_images(kOp, images, stream);
  check_tensor(kOp, "labels", labels, Shape{images.dim(0)}, DType::i32, stream);
  check_tensor(kOp, "order", order, DType::i64, stream);
  check_rank(kOp, "order", order, 1);
  check_transform(kOp, transform, images.dim(1));
  check_tensor(kOp, "batch_labels", batch_labels, DType::i32, stream);
  check_rank(kOp, "batch_labels", batch_labels, 1);
  const std::int64_t N = batch_labels.dim(0), length = order.dim(0);
  check_tensor(kOp, "batch", batch, images.shape().with(0, N), DType::f32, stream);
  check_value(kOp, "the number of images", images.dim(0), N == 0 || images.dim(0) > 0, "> 0");
  if (transform.first < 0 || transform.first > length - N) {
    std::int64_t last = 0;
    if (__builtin_add_overflow(transform.first, N - 1, &last)) last = std::numeric_limits<std::int64_t>::max();
    throw std::invalid_argument(
        fmt::format("{}: positions {} to {} are not in an order of {}", kOp, transform.first, last, length));
  }
  dispatch(
      stream, [&] { cpu::ordered_batch(images, labels, order, transform, batch, batch_labels, stream); },
      [&] { cuda::ordered_batch(images, labels, order, transform, batch, batch_labels, stream); });
}

}  // namespace gpucnn::kernels
