#pragma once

#include <memory>

#include <gpucnn/kernels/pool/avg_pool2d.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// The mean of each window: x: [N, C, H, W] -> y: [N, C, Ho, Wo], as PyTorch's AvgPool2d.
class GPUCNN_API AvgPool2d : public Module {
 public:
  explicit AvgPool2d(Size2 kernel_size) : AvgPool2d(AvgPool2dOptions{kernel_size}) {}
  AvgPool2d(Size2 kernel_size, Size2 stride, Size2 padding = 0) : AvgPool2d(AvgPool2dOptions{kernel_size, stride, padding}) {}
  /// Throws `std::invalid_argument` for a window of no or more than 2^31 - 1 elements, a stride below 1, a padding outside 0 to
  /// half of kernel_size, or a divisor_override of 0.
  explicit AvgPool2d(const AvgPool2dOptions& options);

  Shape output_shape(const Shape& x) const override;

  const AvgPool2dOptions& options() const noexcept { return pool_; }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<AvgPool2d>(pool_); }

 private:
  AvgPool2dOptions pool_;
};

}  // namespace gpucnn
