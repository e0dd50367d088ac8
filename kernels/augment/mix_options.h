#pragma once

#include <cstdint>

namespace gpucnn {

/// How images of a batch are mixed with each other, as torchvision.transforms.v2's MixUp and CutMix do; with both, a coin picks one
/// of them for each batch.
struct MixOptions {
  double mixup_alpha = 0;        ///< of mixup's Beta(alpha, alpha), >= 0; 0: no mixup. Its paper takes 0.1 to 0.4
  double cutmix_alpha = 0;       ///< the same of CutMix, whose paper takes 1
  std::int64_t num_classes = 0;  ///< classes of the labels, >= 1 if images are mixed

  /// Whether images are mixed.
  bool any() const noexcept { return mixup_alpha != 0 || cutmix_alpha != 0; }
};

}  // namespace gpucnn
