#include <gpucnn/layers/pool/avg_pool2d.h>

#include <algorithm>

#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

AvgPool2d::AvgPool2d(const AvgPool2dOptions& options) : pool_(options) {
  // The smallest image that the window fits shows whether the options hold.
  kernels::avg_pool2d_shape({0, 1, std::max(1, pool_.kernel_size.height), std::max(1, pool_.kernel_size.width)}, pool_);
}

Shape AvgPool2d::output_shape(const Shape& x) const { return kernels::avg_pool2d_shape(x, pool_); }

Tensor AvgPool2d::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype(), x.device());
  kernels::avg_pool2d(x, pool_, y, context.stream());
  return y;
}

int AvgPool2d::add_to(GraphBuilder& graph, int x) const {
  AvgPool2dOptions options = pool_;
  options.stride = pool_.stride.value_or(pool_.kernel_size);
  return graph.add(*this, op::AvgPool2d{options}, x);
}

Tensor AvgPool2d::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(context.x_shape(), dy.dtype(), dy.device());
  kernels::avg_pool2d_backward(dy, pool_, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
