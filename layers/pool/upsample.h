#pragma once

#include <memory>

#include <gpucnn/kernels/common/size2.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Each pixel becomes a block of scale_factor pixels: x: [N, C, H, W] -> y: [N, C, H * height, W * width], as PyTorch's Upsample
/// with mode "nearest". Only whole factors.
class GPUCNN_API Upsample : public Module {
 public:
  /// Throws `std::invalid_argument` for a factor below 1.
  explicit Upsample(Size2 scale_factor);

  Shape output_shape(const Shape& x) const override;

  Size2 scale_factor() const noexcept { return scale_factor_; }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<Upsample>(scale_factor_); }

 private:
  Size2 scale_factor_;
};

}  // namespace gpucnn
