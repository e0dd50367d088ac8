#pragma once

#include <gpucnn/layers/losses/elementwise_loss.h>

namespace gpucnn {

/// PyTorch's MSELoss: the mean or sum over all elements of (input - target)^2. Both are f32 of one shape.
class GPUCNN_API MSELoss : public ElementwiseLoss {
 public:
  explicit MSELoss(Reduction reduction = Reduction::mean)
      : ElementwiseLoss({.kind = kernels::ElementwiseLoss::Kind::mse, .reduction = reduction}) {}
};

}  // namespace gpucnn
