#pragma once

#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// A small convolutional network for images of one size, [C, H, W], 32x32 in colour unless another is given: [N, C, H, W] -> logits
/// [N, num_classes]. 268,650 parameters with 10 classes; those of "classifier.1" grow with H and W.
class GPUCNN_API SimpleCNN : public Sequential {
 public:
  /// Throws `std::invalid_argument` unless num_classes is at least 1, and image is [C, H, W] with H and W at least 4.
  explicit SimpleCNN(int num_classes = 10, const Shape& image = {3, 32, 32});

 protected:
  std::unique_ptr<Module> copy() const override;
  bool takes_ends() const override;

 private:
  SimpleCNN(int num_classes, int features, int channels);
};

}  // namespace gpucnn
