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

/// Datasets one behind the other, as PyTorch's ConcatDataset. Their images have one shape and lie on one device; their labels are
/// all classes or all f32 targets of one shape. Nothing is copied. Training over it is not captured on a GPU.
class GPUCNN_API ConcatDataset final : public Dataset {
 public:
  /// Throws `std::invalid_argument` for no dataset, for a null, and for images of another shape or device than the first's.
  explicit ConcatDataset(std::vector<std::shared_ptr<const Dataset>> datasets);

  /// The same of any datasets by value: `ConcatDataset(photos, drawings)`.
  template <std::derived_from<Dataset>... D>
  requires(sizeof...(D) > 1) explicit ConcatDataset(D... datasets)
      : ConcatDataset(std::vector<std::shared_ptr<const Dataset>>{std::make_shared<const D>(std::move(datasets))...}) {}

  std::int64_t size() const override { return ends_.back(); }
  Shape image_shape() const override { return datasets_.front()->image_shape(); }
  Device device() const override { return datasets_.front()->device(); }

  /// Copies: images as f32 from 0 to 1, and labels as i32 or f32 targets. Throws `std::invalid_argument` where classes and targets,
  /// or targets of two shapes, meet in a batch.
  Batch get(std::span<const std::int64_t> indices) const override;
  Batch transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform, Stream& stream) const override;

 private:
  std::vector<std::shared_ptr<const Dataset>> datasets_;
  std::vector<std::int64_t> ends_;  // where each ends: the number of its last example, and 1
};

}  // namespace gpucnn
