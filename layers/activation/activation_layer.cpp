#include <gpucnn/layers/activation/activation_layer.h>

#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Shape ActivationLayer::output_shape(const Shape& x) const { return x; }

Tensor ActivationLayer::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::activation(x, function_, y, context.stream());
  context.save(kernels::activation_backward_reads_y(function_) ? y : x);
  return y;
}

int ActivationLayer::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, function_, x); }

Tensor ActivationLayer::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  kernels::activation_backward(context.saved(), function_, dy, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
