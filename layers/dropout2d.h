#pragma once

#include <memory>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// In training, zeroes each channel of each image with probability p and scales the others by 1 / (1 - p), as PyTorch's Dropout2d;
/// otherwise y = x. x: [N, C, H, W]. Tompson et al., "Efficient Object Localization Using Convolutional Networks" (2015). The mask
/// is drawn as Dropout's.
class GPUCNN_API Dropout2d : public Module {
 public:
  /// Throws `std::invalid_argument` unless 0 <= p <= 1.
  explicit Dropout2d(double p = 0.5);

  /// x. Throws `std::invalid_argument` for another rank than 4.
  Shape output_shape(const Shape& x) const override;

  double p() const noexcept { return p_; }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder&, int x) const override { return x; }
  std::unique_ptr<Module> copy() const override { return std::make_unique<Dropout2d>(p_); }

 private:
  Tensor drop(const Tensor& x, Context& context) const;

  double p_;
};

}  // namespace gpucnn
