#pragma once

#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// A function that is applied to each element by itself: x of any shape -> y of the same shape. A layer of this kind is its
/// constructor; a Conv2d or Linear before it may apply the function as its epilogue.
class GPUCNN_API ActivationLayer : public Module {
 public:
  Shape output_shape(const Shape& x) const final;

  const Activation& function() const noexcept { return function_; }

 protected:
  explicit ActivationLayer(const Activation& function) : function_(function) {}

  Tensor forward(const Tensor& x, Context& context) const final;
  Tensor gradients(const Tensor& dy, Context& context) final;
  int add_to(GraphBuilder& graph, int x) const final;

 private:
  Activation function_;
};

}  // namespace gpucnn
