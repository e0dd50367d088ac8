#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = factor * x, of any shape: the layer of that name that scales the logits in Page, "How to train your ResNet" (2018).
class GPUCNN_API Mul : public ActivationLayer {
 public:
  explicit Mul(double factor) : ActivationLayer({.kind = Activation::scaled, .factor = static_cast<float>(factor)}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<Mul>(double{function().factor}); }
};

}  // namespace gpucnn
