#pragma once

#include <gpucnn/kernels/loss/cross_entropy.h>
#include <gpucnn/layers/losses/device_copies.h>
#include <gpucnn/layers/losses/loss.h>

namespace gpucnn {

/// `weight`: f32 [C], from any device, copied; `ignore_index` -100; `reduction` mean or sum; `label_smoothing` from 0 to 1.
using CrossEntropyLossOptions = kernels::CrossEntropyOptions;

/// PyTorch's CrossEntropyLoss: see kernels::cross_entropy for its formula. By default it is the mean over the batch of -log
/// softmax(logits)[n, labels[n]]. logits: f32 [N, C]; targets: the labels, i32, i64 or u8 [N] in [0, C) or ignore_index, or the
/// classes' probabilities, f32 [N, C]. PyTorch's reduction `none` is left out, because a Loss is one number.
///
/// A weighted mean divides by the weights of the labels that count, that of probabilities by N. If all labels are ignored, the mean
/// is NaN, the sum is 0, and the gradient is 0. A training step ends on that NaN as on any loss that is not finite; `evaluate`
/// counts no loss for such a batch. In Metrics an ignored image has no loss and is neither right nor wrong. With
/// probabilities, an image counts as right if its largest logit is at the largest probability, the first of equals.
///
/// The constructor throws `std::invalid_argument` for a label_smoothing outside [0, 1], and for a weight that is not f32 [C]. A
/// call throws it for other shapes or dtypes, a label outside, a weight for another C, and probabilities with an ignore_index >= 0.
class GPUCNN_API CrossEntropyLoss : public Loss {
 public:
  CrossEntropyLoss() : CrossEntropyLoss(CrossEntropyLossOptions{}) {}
  explicit CrossEntropyLoss(const CrossEntropyLossOptions& options);

  /// Whether it is the mean over the labels, without weights and smoothing, which kernels of whole steps compute too.
  bool is_plain() const noexcept;

  Tensor prepare(const Tensor& logits, const Tensor& targets) const override;
  bool takes_unprepared(const Tensor& targets) const override;
  bool is_sum() const override { return options_.reduction == Reduction::sum; }
  bool takes_probabilities(const Tensor& targets) const override;
  std::optional<std::int32_t> ignored_label() const override { return options_.ignore_index; }
  std::optional<double> weight_of(const Tensor& targets) const override;

 protected:
  Tensor forward(const Tensor& logits, const Tensor& targets, Tensor& dlogits) const override;

 private:
  CrossEntropyLossOptions options_;
  mutable DeviceCopies weight_;
};

}  // namespace gpucnn
