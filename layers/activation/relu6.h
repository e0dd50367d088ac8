#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = min(max(x, 0), 6), of any shape; NaN stays NaN. Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10" (2010).
class GPUCNN_API ReLU6 : public ActivationLayer {
 public:
  ReLU6() : ActivationLayer({Activation::relu6}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<ReLU6>(); }
};

}  // namespace gpucnn
