#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = x / (1 + exp(-x)), of any shape, as PyTorch's. Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 4.
class GPUCNN_API SiLU : public ActivationLayer {
 public:
  SiLU() : ActivationLayer({Activation::silu}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<SiLU>(); }
};

}  // namespace gpucnn
