#include <gpucnn/data/sampling/concat_dataset.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/tensor_dataset.h>

namespace gpucnn {

ConcatDataset::ConcatDataset(std::vector<std::shared_ptr<const Dataset>> datasets) : datasets_(std::move(datasets)) {
  if (datasets_.empty()) throw std::invalid_argument("ConcatDataset: there is no dataset");
  std::int64_t end = 0;
  for (std::size_t i = 0; i < datasets_.size(); ++i) {
    const Dataset* dataset = datasets_[i].get();
    if (!dataset) throw std::invalid_argument(formatted("ConcatDataset: dataset number {} is none", i));
    if (dataset->image_shape() != image_shape() || dataset->device() != device()) {
      throw std::invalid_argument(formatted("ConcatDataset: dataset number {} has images {} on {}, the first has {} on {}", i,
                                            dataset->image_shape().string(), dataset->device().string(), image_shape().string(),
                                            device().string()));
    }
    end += dataset->size();
    ends_.push_back(end);
  }
}

Batch ConcatDataset::get(std::span<const std::int64_t> indices) const {
  Stream stream(device());
  return transformed(indices, {}, stream);
}

Batch ConcatDataset::transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform,
                                 Stream& stream) const {
  kernels::ImageTransform here = transform;
  if (here.numbers.empty()) here.numbers = indices;  // one number for an image, whatever else lies in its batch
  const Shape one = image_shape();
  const auto count = static_cast<std::int64_t>(indices.size());
  std::vector<std::int64_t> numbers, places(indices.size());  // in one dataset; and where each example comes to lie
  Tensor images = Tensor::empty({count, one[0], one[1], one[2]}, DType::f32, device()), labels;
  std::int64_t done = 0, begin = 0;
  for (std::size_t d = 0; d < datasets_.size(); begin = ends_[d++]) {
    numbers.clear();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] < begin || indices[i] >= ends_[d]) continue;
      places[i] = done + std::ssize(numbers);
      numbers.push_back(indices[i] - begin);
    }
    const std::int64_t some = std::ssize(numbers);
    if (some == 0 && !(count == 0 && d == 0)) continue;
    if (some == count) return datasets_[d]->transformed(numbers, here, stream);
    const Batch part = datasets_[d]->transformed(numbers, {}, stream);
    if (!labels.defined()) labels = Tensor::empty(part.labels.shape().with(0, count), part.labels.dtype(), device());
    if (part.labels.dtype() != labels.dtype() || part.labels.shape() != labels.shape().with(0, some)) {
      throw std::invalid_argument(formatted("ConcatDataset: dataset number {} has labels {} {}, those before it {} {}", d,
                                            name_of(part.labels.dtype()), part.labels.shape().string(), name_of(labels.dtype()),
                                            labels.shape().with(0, some).string()));
    }
    images.narrow(done, some).copy_from(part.inputs);
    labels.narrow(done, some).copy_from(part.labels);
    done += some;
  }
  if (done != count) {
    throw std::invalid_argument(
        formatted("ConcatDataset: an example's number must be from 0 to {}, got {}", size() - 1, joined(indices, ", ")));
  }
  return TensorDataset(std::move(images), labels).transformed(places, here, stream);
}

}  // namespace gpucnn
