#pragma once

#include <gpucnn/layers/losses/elementwise_loss.h>

namespace gpucnn {

struct BCEWithLogitsLossOptions {
  Tensor weight = {};  ///< of each class, f32 [C], copied; undefined: 1
  Reduction reduction = Reduction::mean;
  Tensor pos_weight = {};  ///< of each class's positive part, f32 [C], copied; undefined: 1
};

/// PyTorch's BCEWithLogitsLoss: the mean or sum over all elements of weight (-pos_weight t log sigmoid(x) - (1 - t) log(1 -
/// sigmoid(x))), computed without overflow. x, the logits, and t, the targets: f32 of one shape, [N, C] with weights. PyTorch's
/// weights of other shapes are refused: by the constructor with `std::invalid_argument` unless f32 [C], by a call for another C.
class GPUCNN_API BCEWithLogitsLoss : public ElementwiseLoss {
 public:
  explicit BCEWithLogitsLoss(const BCEWithLogitsLossOptions& options = {})
      : ElementwiseLoss({.kind = kernels::ElementwiseLoss::Kind::bce_with_logits,
                         .weight = options.weight,
                         .pos_weight = options.pos_weight,
                         .reduction = options.reduction}) {}
};

}  // namespace gpucnn
