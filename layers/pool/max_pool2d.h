#pragma once

#include <memory>
#include <optional>

#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// PyTorch's options of MaxPool2d, in its order.
struct MaxPool2dOptions {
  Size2 kernel_size;
  std::optional<Size2> stride = std::nullopt;  ///< kernel_size if unset
  Size2 padding = 0;
  Size2 dilation = 1;      ///< distance of the window's elements
  bool ceil_mode = false;  ///< whether the last window may go beyond the padding
};

/// The maximum of each window: x: [N, C, H, W] -> y: [N, C, Ho, Wo], as PyTorch's MaxPool2d. Windows that do not fit are left out
/// unless `ceil_mode` is on.
class GPUCNN_API MaxPool2d : public Module {
 public:
  explicit MaxPool2d(Size2 kernel_size) : MaxPool2d(kernel_size, kernel_size) {}
  MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding = 0);
  /// Throws `std::invalid_argument` for a window of no or more than 2^31 - 1 elements, a stride or dilation below 1, or a padding
  /// outside 0 to half of kernel_size.
  explicit MaxPool2d(const MaxPool2dOptions& options);

  Shape output_shape(const Shape& x) const override;

  const kernels::Pool2d& options() const noexcept { return pool_; }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override {
    return std::make_unique<MaxPool2d>(
        MaxPool2dOptions{pool_.kernel_size, pool_.stride, pool_.padding, pool_.dilation, pool_.ceil_mode});
  }

 private:
  kernels::Pool2d pool_;
};

}  // namespace gpucnn
