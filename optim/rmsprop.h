#pragma once

#include <vector>

#include <gpucnn/optim/optimizer.h>

namespace gpucnn {

/// PyTorch's names, order and defaults. Every number must be finite in f32.
struct RMSpropOptions {
  double lr = 1e-2;           ///< >= 0
  double alpha = 0.99;        ///< of the running averages, in [0, 1]
  double eps = 1e-8;          ///< >= 0, added to the root
  double weight_decay = 0.0;  ///< >= 0; times the weight, added to the gradient (L2)
  double momentum = 0.0;      ///< >= 0
  bool centered = false;      ///< divides by the deviation from the running average instead of the root of the mean square
  bool maximize = false;      ///< goes up the gradient instead of down
};

/// Tieleman and Hinton, "Lecture 6.5 - RMSProp" (2012), as `torch.optim.RMSprop`; see kernels::rmsprop for the formula.
class GPUCNN_API RMSprop : public Optimizer {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit RMSprop(std::vector<Parameter> parameters, RMSpropOptions options = {});
  explicit RMSprop(std::vector<ParameterGroup<RMSpropOptions>> groups);

 private:
  void update(const Range& range, Stream& stream) override;

  std::vector<RMSpropOptions> options_;  // of the groups
};

}  // namespace gpucnn
