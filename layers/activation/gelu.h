#pragma once

#include <memory>
#include <string_view>

#include <gpucnn/layers/activation/activation_layer.h>

namespace gpucnn {

/// y = x (1 + erf(x / sqrt(2))) / 2, of any shape, as PyTorch's GELU; with "tanh" its approximation
/// y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
class GPUCNN_API GELU : public ActivationLayer {
 public:
  /// Throws `std::invalid_argument` unless `approximate` is "none" or "tanh".
  explicit GELU(std::string_view approximate = "none");

 protected:
  std::unique_ptr<Module> copy() const override {
    return std::make_unique<GELU>(function().kind == Activation::gelu_tanh ? "tanh" : "none");
  }
};

}  // namespace gpucnn
