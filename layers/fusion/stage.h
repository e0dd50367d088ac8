#pragma once

#include <memory>
#include <span>
#include <vector>

#include <gpucnn/layers/module.h>

namespace gpucnn {

/// Layers of a Sequential that run together: a layer alone, or several whose work fits in one pass. Results are those of the layers
/// one after the other, within rounding; a gradient that is not finite ends where the layers would multiply it by 0. Refers to the
/// layers; has the rights of a friend in those it knows.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual Tensor forward(const Tensor& x) = 0;
  virtual Tensor backward(const Tensor& dy) = 0;

  /// Whether a 4-d x may come flattened, [N, features]: the first thing done with it is to flatten it.
  virtual bool takes_flat() const { return false; }
  /// Lets forward flatten its y, or no longer; backward takes the gradient of what forward gave.
  virtual void may_flatten(bool) {}

  /// The stages of these layers, in order.
  static std::vector<std::unique_ptr<Stage>> of(std::span<Module* const> layers);

 private:
  class Alone;
  class WithRelu;
  class ConvReluPool;
  class ConvReluPools;
  class LinearReluDropout;
};

}  // namespace gpucnn
