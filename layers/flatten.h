#pragma once

#include <optional>

#include <gpucnn/layers/module.h>

namespace gpucnn {

/// [N, ...] -> [N, the product of the rest], in PyTorch's order: a [N, C, H, W] image gives C * H * W features, channel by channel.
class GPUCNN_API Flatten : public Module {
 public:
  Shape output_shape(const Shape& x) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  std::optional<Shape> x_shape_;  // kept for backward
};

}  // namespace gpucnn
