#include <gpucnn/data/tensor_dataset.h>

#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/image/image_batch.h>

namespace gpucnn {
namespace {

void check(const Tensor& images, const Tensor& labels) {
  if (!images.defined() || !labels.defined()) throw std::invalid_argument("TensorDataset: images and labels must be defined");
  if (images.dtype() != DType::u8 && images.dtype() != DType::f32) {
    throw std::invalid_argument(formatted("TensorDataset: images must be u8 or f32, got {}", name_of(images.dtype())));
  }
  if (images.rank() != 4) {
    throw std::invalid_argument(formatted("TensorDataset: images must be [N, C, H, W], got {}", images.shape().string()));
  }
  const bool numbers = labels.dtype() == DType::f32;
  if (!numbers && labels.dtype() != DType::u8 && labels.dtype() != DType::i32 && labels.dtype() != DType::i64) {
    throw std::invalid_argument(
        formatted("TensorDataset: labels must be u8, i32 or i64, or targets f32, got {}", name_of(labels.dtype())));
  }
  if (numbers && (labels.rank() == 0 || labels.dim(0) != images.dim(0))) {
    throw std::invalid_argument(formatted("TensorDataset: {} images need f32 targets [{}, …], got {}", images.dim(0), images.dim(0),
                                          labels.shape().string()));
  }
  if (!numbers && labels.shape() != Shape{images.dim(0)}) {
    throw std::invalid_argument(
        formatted("TensorDataset: {} images need labels [{}], got {}", images.dim(0), images.dim(0), labels.shape().string()));
  }
  if (labels.device() != images.device()) {
    throw std::invalid_argument(
        formatted("TensorDataset: images are on {}, labels on {}", images.device().string(), labels.device().string()));
  }
}

Tensor as_i32(const Tensor& labels) {
  Stream stream(labels.device());
  Tensor y = Tensor::empty(labels.shape(), DType::i32, labels.device());
  kernels::to_i32(labels, y, stream);
  return y;
}

}  // namespace

TensorDataset::TensorDataset(Tensor images, const Tensor& labels) : images_(std::move(images)) {
  check(images_, labels);
  labels_ = labels.dtype() == DType::f32 ? labels : as_i32(labels);
}

TensorDataset TensorDataset::to(Device device) const { return {images_.to(device), labels_.to(device)}; }

Shape TensorDataset::image_shape() const { return {images_.dim(1), images_.dim(2), images_.dim(3)}; }

Batch TensorDataset::get(std::span<const std::int64_t> indices) const {
  Stream stream(device());
  return transformed(indices, {}, stream);
}

Batch TensorDataset::transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform,
                                 Stream& stream) const {
  const auto count = static_cast<std::int64_t>(indices.size());
  Batch batch{Tensor::empty(transform.batch_shape(images_.shape(), count), DType::f32, device()),
              Tensor::empty(labels_.shape().with(0, count), labels_.dtype(), device())};
  if (labels_.dtype() == DType::f32) {
    kernels::image_batch(images_, indices, transform, batch.inputs, stream);
    kernels::row_batch(labels_, indices, batch.labels, stream);
  } else {
    kernels::image_batch(images_, labels_, indices, transform, batch.inputs, batch.labels, stream);
  }
  return batch;
}

}  // namespace gpucnn
