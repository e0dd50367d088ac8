#pragma once

#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// The maximum of each window: x: [N, C, H, W] -> y: [N, C, Ho, Wo], as PyTorch's MaxPool2d (windows that do not fit are left out).
class GPUCNN_API MaxPool2d : public Module {
 public:
  explicit MaxPool2d(Size2 kernel_size) : MaxPool2d(kernel_size, kernel_size) {}
  /// Throws `std::invalid_argument` for a window of no or more than 256 elements, a stride below 1, or a padding outside 0 to half
  /// the window.
  MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding = 0);

  Shape output_shape(const Shape& x) const override;

  const kernels::Pool2d& options() const noexcept { return pool_; }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;

 private:
  kernels::Pool2d pool_;
};

}  // namespace gpucnn
