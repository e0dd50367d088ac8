#pragma once

#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// A small convolutional network for 32x32 colour images: [N, 3, 32, 32] -> logits [N, num_classes]. 268,650 parameters with 10
/// classes.
class GPUCNN_API SimpleCNN : public Sequential {
 public:
  /// Throws `std::invalid_argument` unless num_classes is at least 1.
  explicit SimpleCNN(int num_classes = 10);

 protected:
  std::unique_ptr<Module> copy() const override;
};

}  // namespace gpucnn
