#include <gpucnn/kernels/image/image_batch.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/image/image_transform.h>
#include <gpucnn/kernels/image/indices.h>

namespace gpucnn::kernels {

namespace cpu {
void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch);
}  // namespace cpu

namespace cuda {
void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch,
                 Stream& stream);
}  // namespace cuda

void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch,
                 Stream& stream) {
  constexpr const char* kOp = "image_batch";
  check_tensor(kOp, "images", images, images.dtype() == DType::u8 ? DType::u8 : DType::f32, stream);
  check_rank(kOp, "images", images, 4);
  check_indices(kOp, indices, images.dim(0));
  check_transform(kOp, transform, images.dim(1));
  check_tensor(kOp, "batch", batch, images.shape().with(0, static_cast<std::int64_t>(indices.size())), DType::f32, stream);
  dispatch(
      stream, [&] { cpu::image_batch(images, indices, transform, batch); },
      [&] { cuda::image_batch(images, indices, transform, batch, stream); });
}

}  // namespace gpucnn::kernels
