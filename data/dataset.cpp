#include <gpucnn/data/dataset.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/labels.h>

namespace gpucnn {

Dataset::~Dataset() = default;

Device Dataset::device() const { return Device::cpu(); }

Batch Dataset::transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform, Stream& stream) const {
  const auto count = static_cast<std::int64_t>(indices.size());
  const Shape one = image_shape(), images{count, one[0], one[1], one[2]};
  const Batch raw = get(indices);
  const bool numbers = raw.labels.defined() && raw.labels.dtype() == DType::f32;
  const bool fit = numbers ? raw.labels.rank() > 0 && raw.labels.dim(0) == count : raw.labels.shape() == Shape{count};
  if (raw.inputs.shape() != images || !fit) {
    throw std::invalid_argument(formatted("Dataset::get: expects inputs {} and labels [{}] or f32 targets [{}, …], got {} and {}",
                                          images.string(), count, count, raw.inputs.shape().string(), raw.labels.shape().string()));
  }
  Tensor order = Tensor::empty({count}, DType::i64);
  const std::span<std::int64_t> as_they_are(order.data<std::int64_t>(), indices.size());
  std::iota(as_they_are.begin(), as_they_are.end(), 0);
  Batch batch{Tensor::empty(transform.batch_shape(images, count), DType::f32, stream.device()),
              Tensor::empty(raw.labels.shape(), numbers ? DType::f32 : DType::i32, stream.device())};
  kernels::ImageTransform here = transform;
  if (here.numbers.empty()) here.numbers = indices;  // which `as_they_are` hides
  kernels::image_batch(raw.inputs, as_they_are, here, batch.inputs, stream);
  if (numbers) {
    kernels::row_batch(raw.labels, as_they_are, batch.labels, stream);  // `get` may have given a handle of its own
  } else {
    kernels::to_i32(raw.labels, batch.labels, stream);
  }
  return batch;
}

}  // namespace gpucnn
