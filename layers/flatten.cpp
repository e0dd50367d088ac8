#include <gpucnn/layers/flatten.h>

#include <gpucnn/kernels/copy/flatten.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Shape Flatten::output_shape(const Shape& x) const { return kernels::flatten_shape(x); }

Tensor Flatten::forward(const Tensor& x, Context& context) const {
  const Shape shape = output_shape(x.shape());
  if (x.rank() != 4) return x.view(0, shape);  // dense as written: the same memory
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  kernels::flatten(x, y, context.stream());
  return y;
}

int Flatten::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::Flatten{}, x); }

Tensor Flatten::gradients(const Tensor& dy, Context& context) {
  const Shape& shape = context.x_shape();
  if (!context.input_grad()) return {};
  if (shape.rank() != 4) return dy.view(0, shape);
  Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
  kernels::flatten_backward(dy, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
