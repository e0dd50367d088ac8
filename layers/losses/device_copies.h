#pragma once

#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// A constant of a loss, such as the weights of classes, that follows the inputs: it is copied to a device once, when it is first
/// asked for there. The copies stay, because captured steps hold their addresses. One thread at a time.
class GPUCNN_API DeviceCopies {
 public:
  /// Copies `values`, which may be undefined.
  explicit DeviceCopies(const Tensor& values);

  /// The values on `device`; undefined if they are. The reference holds until the next call.
  const Tensor& on(Device device);

 private:
  Tensor values_;               // where they came from
  std::vector<Tensor> copies_;  // on other devices
};

}  // namespace gpucnn
