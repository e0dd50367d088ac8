#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = tanh(x), of any shape; NaN stays NaN.
class GPUCNN_API Tanh : public ActivationLayer {
 public:
  Tanh() : ActivationLayer({Activation::tanh}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<Tanh>(); }
};

}  // namespace gpucnn
