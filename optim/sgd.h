#pragma once

#include <vector>

#include <gpucnn/optim/optimizer.h>

namespace gpucnn {

/// PyTorch's names, order and defaults. Every number must be finite in f32.
struct SGDOptions {
  double lr = 1e-3;           ///< >= 0
  double momentum = 0.0;      ///< >= 0
  double dampening = 0.0;     ///< of the gradient in the velocity
  double weight_decay = 0.0;  ///< >= 0; times the weight, added to the gradient (L2)
  bool nesterov = false;      ///< needs momentum > 0 and dampening = 0
  bool maximize = false;      ///< goes up the gradient instead of down
};

/// Stochastic gradient descent with momentum, as `torch.optim.SGD`; see kernels::sgd for the formula.
class GPUCNN_API SGD : public Optimizer {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit SGD(std::vector<Parameter> parameters, SGDOptions options = {});
  explicit SGD(std::vector<ParameterGroup<SGDOptions>> groups);

 private:
  void check_momentum(std::size_t group, double momentum) const override;
  void update(const Range& range, Stream& stream) override;

  std::vector<SGDOptions> options_;  // of the groups
};

}  // namespace gpucnn
