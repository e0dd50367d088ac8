#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset.h>

namespace gpucnn {

/// Some examples of a dataset, in an order of their own, as PyTorch's Subset: example i is example indices[i] of the dataset. One
/// may be there several times. Nothing is copied, and training over a subset of a TensorDataset is captured on a GPU as over the
/// whole.
class GPUCNN_API Subset final : public Dataset {
 public:
  /// A subset of a subset refers to the dataset below. Throws `std::invalid_argument` for a null, and for an index outside
  /// [0, dataset.size()).
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices);

  /// The same of any dataset by value.
  template <std::derived_from<Dataset> D>
  Subset(D dataset, std::vector<std::int64_t> indices)
      : Subset(std::shared_ptr<const Dataset>(std::make_shared<const D>(std::move(dataset))), std::move(indices)) {}

  std::int64_t size() const override { return std::ssize(indices_); }
  Shape image_shape() const override { return dataset_->image_shape(); }
  Device device() const override { return dataset_->device(); }
  Batch get(std::span<const std::int64_t> indices) const override;
  Batch transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform, Stream& stream) const override;

  const Dataset& dataset() const noexcept { return *dataset_; }
  std::span<const std::int64_t> indices() const noexcept { return indices_; }

  /// Turns the numbers of examples of this set into their numbers in `dataset()`.
  void to_dataset(std::span<std::int64_t> numbers) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> indices_;
};

}  // namespace gpucnn
