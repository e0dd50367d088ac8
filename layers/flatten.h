#pragma once

#include <memory>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// [N, ...] -> [N, the product of the rest], in PyTorch's order: a [N, C, H, W] image gives C * H * W features, channel by channel.
class GPUCNN_API Flatten : public Module {
 public:
  Shape output_shape(const Shape& x) const override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<Flatten>(); }
};

}  // namespace gpucnn
