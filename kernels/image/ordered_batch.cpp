#include <gpucnn/kernels/image/ordered_batch.h>

#include <limits>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/image/image_transform.h>

namespace gpucnn::kernels {

namespace cpu {
void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                   Tensor& batch_labels);
}  // namespace cpu

namespace cuda {
void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                   Tensor& batch_labels, Stream& stream);
}  // namespace cuda

void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                   Tensor& batch_labels, Stream& stream) {
  constexpr const char* kOp = "ordered_batch";
  check_tensor(kOp, "images", images, images.dtype() == DType::u8 ? DType::u8 : DType::f32, stream);
  check_rank(kOp, "images", images, 4);
  check_tensor(kOp, "labels", labels, Shape{images.dim(0)}, DType::i32, stream);
  check_tensor(kOp, "order", order, DType::i64, stream);
  check_rank(kOp, "order", order, 1);
  check_transform(kOp, transform, images.dim(1));
  check_tensor(kOp, "batch_labels", batch_labels, DType::i32, stream);
  check_rank(kOp, "batch_labels", batch_labels, 1);
  const std::int64_t N = batch_labels.dim(0), places = order.dim(0);
  check_tensor(kOp, "batch", batch, images.shape().with(0, N), DType::f32, stream);
  check_value(kOp, "the number of images", images.dim(0), N == 0 || images.dim(0) > 0, "> 0");
  if (transform.first < 0 || transform.first > places - N) {
    std::int64_t last = 0;
    if (__builtin_add_overflow(transform.first, N - 1, &last)) last = std::numeric_limits<std::int64_t>::max();
    throw std::invalid_argument(fmt::format("{}: places {} to {} are not in an order of {}", kOp, transform.first, last, places));
  }
  dispatch(
      stream, [&] { cpu::ordered_batch(images, labels, order, transform, batch, batch_labels); },
      [&] { cuda::ordered_batch(images, labels, order, transform, batch, batch_labels, stream); });
}

}  // namespace gpucnn::kernels
