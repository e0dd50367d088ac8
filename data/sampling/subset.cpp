#include <gpucnn/data/sampling/subset.h>

#include <algorithm>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

/// `numbers` of a subset as those of its dataset; a tensor, so that a walk allocates nothing of its own.
Tensor in_dataset(const Subset& subset, std::span<const std::int64_t> numbers) {
  Tensor mapped = Tensor::from(numbers, {numbers.size()});
  subset.to_dataset({mapped.data<std::int64_t>(), numbers.size()});
  return mapped;
}

std::span<const std::int64_t> values(const Tensor& numbers) {
  return {numbers.data<std::int64_t>(), static_cast<std::size_t>(numbers.numel())};
}

}  // namespace

Subset::Subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices)
    : dataset_(std::move(dataset)), indices_(std::move(indices)) {
  if (!dataset_) throw std::invalid_argument("Subset: there is no dataset");
  const std::int64_t size = dataset_->size();
  for (std::size_t i = 0; i < indices_.size(); ++i) {
    if (indices_[i] >= 0 && indices_[i] < size) continue;
    throw std::invalid_argument(formatted("Subset: index number {} must be from 0 to {} (the dataset's size is {}), got {}", i,
                                          size - 1, size, indices_[i]));
  }
  if (const auto* subset = dynamic_cast<const Subset*>(dataset_.get())) {
    subset->to_dataset(indices_);
    dataset_ = std::shared_ptr<const Dataset>(subset->dataset_);
  }
}

void Subset::to_dataset(std::span<std::int64_t> numbers) const {
  for (std::int64_t& number : numbers) number = indices_[static_cast<std::size_t>(number)];
}

Batch Subset::get(std::span<const std::int64_t> indices) const { return dataset_->get(values(in_dataset(*this, indices))); }

Batch Subset::transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform, Stream& stream) const {
  return dataset_->transformed(values(in_dataset(*this, indices)), transform, stream);
}

}  // namespace gpucnn
