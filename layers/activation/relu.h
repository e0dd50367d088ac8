#pragma once

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = max(x, 0), of any shape; NaN stays NaN.
class GPUCNN_API ReLU : public ActivationLayer {
 public:
  ReLU() : ActivationLayer({Activation::relu}) {}
};

}  // namespace gpucnn
