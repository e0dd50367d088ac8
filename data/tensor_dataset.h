#pragma once

#include <gpucnn/data/dataset.h>

namespace gpucnn {

/// Examples that lie in two tensors, as PyTorch's TensorDataset: handles, neither images nor f32 targets are copied.
class GPUCNN_API TensorDataset : public Dataset {
 public:
  /// images: u8 (0 to 255) or f32 (0 to 1) [N, C, H, W]; labels: u8, i32 or i64 [N], or targets f32 [N, …], for losses that compare
  /// numbers or take probabilities; both on one device. Throws `std::invalid_argument` for anything else, and for a label that i32
  /// does not hold. The loss checks the classes: it knows how many there are, and which label it ignores.
  TensorDataset(Tensor images, const Tensor& labels);

  std::int64_t size() const override { return images_.dim(0); }
  Shape image_shape() const override;
  Device device() const override { return images_.device(); }

  /// The same examples on `device`; images and f32 targets that lie there already are shared.
  TensorDataset to(Device device) const;

  /// The images and f32 targets as they were given, and other labels as i32.
  const Tensor& images() const noexcept { return images_; }
  const Tensor& labels() const noexcept { return labels_; }

  /// Copies: images as f32 from 0 to 1, and labels as i32 or f32 targets.
  Batch get(std::span<const std::int64_t> indices) const override;
  Batch transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform, Stream& stream) const override;

 private:
  Tensor images_, labels_;
};

}  // namespace gpucnn
