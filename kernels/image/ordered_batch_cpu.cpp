#include <span>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/image/image_batch.h>
#include <gpucnn/kernels/image/indices.h>

namespace gpucnn::kernels::cpu {

void image_batch(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch);
void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y);

void ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform, Tensor& batch,
                   Tensor& batch_labels) {
  const std::span<const std::int64_t> indices(order.data<std::int64_t>() + transform.first,
                                              static_cast<std::size_t>(batch_labels.numel()));
  check_indices("ordered_batch", indices, images.dim(0));
  image_batch(images, indices, transform, batch);
  take(labels, indices, batch_labels);
}

}  // namespace gpucnn::kernels::cpu
