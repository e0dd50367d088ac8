#pragma once

#include <utility>
#include <vector>

#include <gpucnn/optim/adam.h>

namespace gpucnn {

/// PyTorch's names, order and defaults. Every number must be finite in f32.
struct AdamWOptions {
  double lr = 1e-3;                                ///< >= 0
  std::pair<double, double> betas = {0.9, 0.999};  ///< of the running averages, each in [0, 1)
  double eps = 1e-8;                               ///< >= 0, added to the root
  double weight_decay = 1e-2;                      ///< >= 0; a step first multiplies weights by 1 - lr * weight_decay
  bool amsgrad = false;                            ///< divides by the largest running average so far (AMSGrad)
  bool maximize = false;                           ///< goes up the gradient instead of down
};

/// Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019), as `torch.optim.AdamW`; see kernels::adam for the
/// formula.
class GPUCNN_API AdamW : public Adam {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit AdamW(std::vector<Parameter> parameters, AdamWOptions options = {});
  explicit AdamW(const std::vector<ParameterGroup<AdamWOptions>>& groups);
};

}  // namespace gpucnn
