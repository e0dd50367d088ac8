#pragma once

#include <span>

#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/train/metrics.h>

namespace gpucnn {

/// What a part of a batch came to, as numbers that add up over the parts to those of the batch.
class BatchSums {
 public:
  static constexpr std::size_t kCount = 5;

  BatchSums() = default;
  /// `labels`: as the loss prepared them; `seen`: what they and `loss_value` came to.
  BatchSums(const Loss& loss, const Tensor& labels, const Metrics& seen, double loss_value);

  /// What the loss's mean divides by.
  double weight() const noexcept { return numbers_[4]; }
  /// The batch's loss: a mean over no image is NaN.
  double loss(const Loss& loss) const;
  Metrics metrics(const Loss& loss) const;

  std::span<double> numbers() noexcept { return numbers_; }

 private:
  // The loss, a mean times its weight; images that were right, all, and ignored ones; the weight.
  double numbers_[kCount] = {};
};

}  // namespace gpucnn
