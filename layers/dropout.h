#pragma once

#include <memory>
#include <optional>

#include <gpucnn/core/random.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// In training, zeroes each element with probability p and scales the others by 1 / (1 - p), as PyTorch's Dropout; otherwise y = x.
/// Srivastava et al., "Dropout" (2014). The mask is drawn from RandomStream(seed, Purpose::dropout, the layer's number in the tree,
/// the count of training forwards): it is not stored, and the same on every device.
class GPUCNN_API Dropout : public Module {
 public:
  /// Throws `std::invalid_argument` unless 0 <= p <= 1.
  explicit Dropout(double p = 0.5);

  Shape output_shape(const Shape& x) const override;

  double p() const noexcept { return p_; }
  /// For containers that join layers: the mask of an x of this shape in this layer's part of a call, `context`; none where nothing
  /// is dropped.
  std::optional<RandomStream> mask(const Shape& x, const Context& context) const;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder&, int x) const override { return x; }
  std::unique_ptr<Module> copy() const override { return std::make_unique<Dropout>(p_); }

 private:
  double p_;
};

}  // namespace gpucnn
