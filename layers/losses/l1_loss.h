#pragma once

#include <gpucnn/layers/losses/elementwise_loss.h>

namespace gpucnn {

/// PyTorch's L1Loss: the mean or sum over all elements of |input - target|, whose derivative at 0 is 0. Both are f32 of one shape.
class GPUCNN_API L1Loss : public ElementwiseLoss {
 public:
  explicit L1Loss(Reduction reduction = Reduction::mean)
      : ElementwiseLoss({.kind = kernels::ElementwiseLoss::Kind::l1, .reduction = reduction}) {}
};

}  // namespace gpucnn
