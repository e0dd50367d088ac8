#pragma once

#include <memory>

#include <gpucnn/kernels/pool/adaptive_pool2d.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// The mean of each of output_size bins: x: [N, C, H, W] -> y: [N, C, output_size], as PyTorch's AdaptiveAvgPool2d. With 1 it is
/// the global average. Bin i of H rows into Ho goes from floor(i H / Ho) to ceil((i + 1) H / Ho).
class GPUCNN_API AdaptiveAvgPool2d : public Module {
 public:
  /// Throws `std::invalid_argument` for an output_size below 1.
  explicit AdaptiveAvgPool2d(Size2 output_size);

  Shape output_shape(const Shape& x) const override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<AdaptiveAvgPool2d>(output_size_); }

 private:
  Size2 output_size_;
};

/// The maximum of each of these bins, as PyTorch's AdaptiveMaxPool2d.
class GPUCNN_API AdaptiveMaxPool2d : public Module {
 public:
  /// Throws `std::invalid_argument` for an output_size below 1.
  explicit AdaptiveMaxPool2d(Size2 output_size);

  Shape output_shape(const Shape& x) const override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<AdaptiveMaxPool2d>(output_size_); }

 private:
  Size2 output_size_;
};

}  // namespace gpucnn
