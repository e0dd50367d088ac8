#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = x where x > 0, else negative_slope * x, of any shape; NaN stays NaN. Maas et al., "Rectifier Nonlinearities Improve Neural
/// Network Acoustic Models" (2013).
class GPUCNN_API LeakyReLU : public ActivationLayer {
 public:
  explicit LeakyReLU(double negative_slope = 0.01)
      : ActivationLayer({Activation::leaky_relu, static_cast<float>(negative_slope)}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<LeakyReLU>(double{function().negative_slope}); }
};

}  // namespace gpucnn
