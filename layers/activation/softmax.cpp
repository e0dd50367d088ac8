#include <gpucnn/layers/activation/softmax.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/loss/softmax.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Softmax::Softmax(int dim) {
  if (dim != 1) throw std::invalid_argument(formatted("Softmax: dim must be 1, that of the channels, got {}", dim));
}

Shape Softmax::output_shape(const Shape& x) const {
  if (x.rank() != 2 && x.rank() != 4) {
    throw std::invalid_argument(formatted("expects [N, C] or [N, C, H, W], got {}", x.string()));
  }
  return x;
}

Tensor Softmax::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::softmax(x, y, context.stream());
  context.save(y);
  return y;
}

int Softmax::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::Softmax{}, x); }

Tensor Softmax::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  kernels::softmax_backward(context.saved(), dy, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
