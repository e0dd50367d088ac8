#pragma once

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = 1 / (1 + exp(-x)), of any shape; NaN stays NaN.
class GPUCNN_API Sigmoid : public ActivationLayer {
 public:
  Sigmoid() : ActivationLayer({Activation::sigmoid}) {}
};

}  // namespace gpucnn
