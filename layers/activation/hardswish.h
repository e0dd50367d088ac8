#pragma once

#include <memory>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = x min(max(x + 3, 0), 6) / 6, of any shape, as PyTorch's. Howard et al., "Searching for MobileNetV3" (2019).
class GPUCNN_API Hardswish : public ActivationLayer {
 public:
  Hardswish() : ActivationLayer({Activation::hardswish}) {}

 protected:
  std::unique_ptr<Module> copy() const override { return std::make_unique<Hardswish>(); }
};

}  // namespace gpucnn
