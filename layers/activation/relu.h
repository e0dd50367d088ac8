#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = max(x, 0), of any shape; NaN stays NaN.
class GPUCNN_API ReLU : public ActivationLayer {
 public:
  ReLU() : ActivationLayer({Activation::relu}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<ReLU>(); }
};

}  // namespace gpucnn
