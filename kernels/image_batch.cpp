#include <gpucnn/kernels/image_batch.h>

#include <gpucnn/kernels/check.h>
#include <gpucnn/kernels/dispatch.h>
#include <gpucnn/kernels/indices.h>

namespace gpucnn::kernels {

namespace cpu {
void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch);
}  // namespace cpu

namespace {

constexpr const char* kOp = "image_batch";

void check_transform(const ImageTransform& transform, std::int64_t channels) {
  const std::size_t wanted = transform.mean.empty() && transform.std.empty() ? 0 : static_cast<std::size_t>(channels);
  if (transform.mean.size() != wanted || transform.std.size() != wanted) {
    throw std::invalid_argument(fmt::format("{}: images of {} channels, got {} values of mean and {} of std", kOp, channels,
                                            transform.mean.size(), transform.std.size()));
  }
  for (float std : transform.std) {
    if (!(std > 0)) throw std::invalid_argument(fmt::format("{}: std must be > 0, got {}", kOp, std));
  }
  if (transform.crop_padding < 0) {
    throw std::invalid_argument(fmt::format("{}: crop_padding must be >= 0, got {}", kOp, transform.crop_padding));
  }
}

}  // namespace

void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch,
                 Stream& stream) {
  check_tensor(kOp, "images", images, images.dtype() == DType::u8 ? DType::u8 : DType::f32, stream);
  check_rank(kOp, "images", images, 4);
  check_indices(kOp, indices, images.dim(0));
  check_transform(transform, images.dim(1));
  check_tensor(kOp, "batch", batch, images.shape().with(0, static_cast<std::int64_t>(indices.size())), DType::f32, stream);
  dispatch(stream, [&] { cpu::image_batch(images, indices, transform, batch); });
}

}  // namespace gpucnn::kernels
