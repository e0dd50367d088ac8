#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = 1 / (1 + exp(-x)), of any shape; NaN stays NaN.
class GPUCNN_API Sigmoid : public ActivationLayer {
 public:
  Sigmoid() : ActivationLayer({Activation::sigmoid}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<Sigmoid>(); }
};

}  // namespace gpucnn
