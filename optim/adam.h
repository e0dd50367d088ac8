#pragma once

#include <utility>
#include <vector>

#include <gpucnn/optim/optimizer.h>

namespace gpucnn {

/// PyTorch's names, order and defaults. Every number must be finite in f32.
struct AdamOptions {
  double lr = 1e-3;                                ///< >= 0
  std::pair<double, double> betas = {0.9, 0.999};  ///< of the running averages, each in [0, 1)
  double eps = 1e-8;                               ///< >= 0, added to the root
  double weight_decay = 0.0;                       ///< >= 0; times the weight, added to the gradient (L2)
  bool amsgrad = false;                            ///< divides by the largest running average so far (AMSGrad)
  bool maximize = false;                           ///< goes up the gradient instead of down
};

/// Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015), as `torch.optim.Adam`; see kernels::adam for the
/// formula.
class GPUCNN_API Adam : public Optimizer {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit Adam(std::vector<Parameter> parameters, AdamOptions options = {});
  explicit Adam(std::vector<ParameterGroup<AdamOptions>> groups);

 protected:
  /// `decoupled`: weights decay by themselves, as in AdamW.
  Adam(std::vector<ParameterGroup<AdamOptions>> groups, bool decoupled);

 private:
  void check_momentum(std::size_t group, double momentum) const override;
  void update(const Range& range, Stream& stream) override;

  std::vector<AdamOptions> options_;  // of the groups
  bool decoupled_;
};

}  // namespace gpucnn
