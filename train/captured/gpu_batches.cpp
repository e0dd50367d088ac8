#include <gpucnn/train/captured/gpu_batches.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <gpucnn/data/mixed_batch.h>
#include <gpucnn/kernels/image/image_batch.h>

namespace gpucnn {

std::unique_ptr<GpuBatches> GpuBatches::of(DataLoader& loader, Device device) {
  const Dataset& examples = loader.dataset();
  const auto* subset = dynamic_cast<const Subset*>(&examples);
  const auto* dataset = dynamic_cast<const TensorDataset*>(subset ? &subset->dataset() : &examples);
  if (device.kind != Device::Kind::cuda || !dataset || dataset->device() != device) return nullptr;
  if (loader.options().device.value_or(device) != device) return nullptr;
  if (loader.options().part.count > 1 && loader.options().mix.any()) return nullptr;
  return std::unique_ptr<GpuBatches>(new GpuBatches(loader, *dataset, subset, device));
}

void GpuBatches::start_epoch() {
  loader_.start_epoch();
  const std::span<const std::int64_t> order = loader_.order();
  const std::span<std::int64_t> memory = order_.memory(order.size());
  std::ranges::copy(order, memory.begin());
  if (subset_) subset_->to_dataset(memory);
  order_.upload();
}

std::int64_t GpuBatches::images(std::int64_t first) const {
  return std::min(loader_.options().batch_size, std::ssize(loader_.order()) - first);
}

GpuBatches::Part GpuBatches::part(std::int64_t images) const {
  const BatchPart& part = loader_.options().part;
  const std::int64_t own = part.images(images);
  return {part.first(images), std::max<std::int64_t>(own, 1), own > 0};
}

bool GpuBatches::are_plain() const { return dataset_.labels().dtype() == DType::i32 && !loader_.options().mix.any(); }

kernels::OrderedBatch GpuBatches::unfilled(std::int64_t images, std::int64_t first, DType dtype) const {
  const auto [before, own, counts] = part(images);
  kernels::OrderedBatch ordered{
      dataset_.images(), dataset_.labels(), order_.on_device(), loader_.transform(first + before), {}, {}};
  ordered.batch = Tensor::empty(ordered.transform.batch_shape(ordered.images.shape(), own), dtype, device_);
  ordered.batch_labels = Tensor::empty({own}, DType::i32, device_);
  return ordered;
}

Batch GpuBatches::gather(std::int64_t images, std::int64_t first, Stream& stream) const {
  const Tensor &all = dataset_.images(), &labels = dataset_.labels();
  const auto [before, own, counts] = part(images);
  const kernels::ImageTransform transform = loader_.transform(first + before);
  Batch batch{Tensor::empty(transform.batch_shape(all.shape(), own), DType::f32, device_),
              Tensor::empty(labels.shape().with(0, own), labels.dtype(), device_)};
  if (labels.dtype() == DType::f32) {
    kernels::ordered_batch(all, order_.on_device(), transform, batch.inputs, stream);
    kernels::ordered_rows(labels, order_.on_device(), first + before, batch.labels, stream);
  } else {
    kernels::ordered_batch(all, labels, order_.on_device(), transform, batch.inputs, batch.labels, stream);
  }
  const MixOptions& mix = loader_.options().mix;
  return mix.any() ? mixed(batch, mix, transform.position(), stream) : batch;
}

/// Those of all examples, a batch at a time.
void GpuBatches::check_labels(const Loss& loss, const Tensor& output, Stream& stream) const {
  const Tensor labels = labels_of_examples(stream);
  const MixOptions& mix = loader_.options().mix;
  if (mix.any()) check_classes(labels, mix.num_classes, stream);
  const std::int64_t batch = output.dim(0);
  for (std::int64_t first = 0; !mix.any() && first < labels.dim(0); first += batch) {
    const std::int64_t count = std::min(batch, labels.dim(0) - first);
    loss.prepare(output.narrow(0, count), labels.narrow(first, count));
  }
  stream.synchronize();
}

/// A label that no example of a subset has need not be one.
Tensor GpuBatches::labels_of_examples(Stream& stream) const {
  const Tensor& all = dataset_.labels();
  if (!subset_) return all;
  const std::span<const std::int64_t> indices = subset_->indices();
  if (all.dtype() == DType::f32) {
    Tensor picked = Tensor::empty(all.shape().with(0, subset_->size()), DType::f32, device_);
    kernels::row_batch(all, indices, picked, stream);
    return picked;
  }
  const std::vector<std::int32_t> labels = all.to_vector<std::int32_t>();
  std::vector<std::int32_t> picked;
  picked.reserve(indices.size());
  for (const std::int64_t index : indices) picked.push_back(labels[static_cast<std::size_t>(index)]);
  return Tensor::from(picked, {picked.size()}, device_);
}

}  // namespace gpucnn
