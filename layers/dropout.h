#pragma once

#include <optional>

#include <gpucnn/core/random.h>
#include <gpucnn/layers/module.h>

namespace gpucnn {

/// In training, zeroes each element with probability p and scales the others by 1 / (1 - p), as PyTorch's Dropout; otherwise y = x.
/// Srivastava et al., "Dropout" (2014). The mask is drawn from RandomStream(seed, Purpose::dropout, the layer's place in the tree,
/// the count of training forwards): it is not stored, and the same on every device.
class GPUCNN_API Dropout : public Module {
 public:
  /// Throws `std::invalid_argument` unless 0 <= p <= 1.
  explicit Dropout(double p = 0.5);

  Shape output_shape(const Shape& x) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

  double p() const noexcept { return p_; }

 private:
  friend class Stage;

  /// What a forward did, for its backward.
  struct Kept {
    Shape shape;
    std::optional<RandomStream> mask;  // none: nothing was dropped
  };

  /// The mask of the forward under way, kept for its backward; none where nothing is dropped.
  std::optional<RandomStream> keep_mask(const Shape& x);

  double p_;
  std::optional<Kept> kept_;
};

}  // namespace gpucnn
