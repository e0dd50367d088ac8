#pragma once

#include <gpucnn/layers/losses/elementwise_loss.h>

namespace gpucnn {

struct SmoothL1LossOptions {
  Reduction reduction = Reduction::mean;
  double beta = 1;  ///< where the square ends, >= 0; 0 is L1Loss
};

/// PyTorch's SmoothL1Loss: with d = input - target the mean or sum over all elements of d^2 / (2 beta) where |d| < beta, and of
/// |d| - beta / 2 elsewhere. Both are f32 of one shape. The constructor throws `std::invalid_argument` for a beta that is not
/// >= 0.
class GPUCNN_API SmoothL1Loss : public ElementwiseLoss {
 public:
  explicit SmoothL1Loss(const SmoothL1LossOptions& options = {})
      : ElementwiseLoss({.kind = kernels::ElementwiseLoss::Kind::smooth_l1, .beta = options.beta, .reduction = options.reduction}) {
  }
};

}  // namespace gpucnn
