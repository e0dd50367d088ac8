#pragma once

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = tanh(x), of any shape; NaN stays NaN.
class GPUCNN_API Tanh : public ActivationLayer {
 public:
  Tanh() : ActivationLayer({Activation::tanh}) {}
};

}  // namespace gpucnn
