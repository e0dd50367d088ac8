#include <gpucnn/layers/pool/adaptive_pool2d.h>

#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Size2 output_size) : output_size_(output_size) {
  kernels::adaptive_pool2d_shape({0, 1, 1, 1}, output_size);
}

Shape AdaptiveAvgPool2d::output_shape(const Shape& x) const { return kernels::adaptive_pool2d_shape(x, output_size_); }

Tensor AdaptiveAvgPool2d::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype(), x.device());
  kernels::adaptive_avg_pool2d(x, y, context.stream());
  return y;
}

int AdaptiveAvgPool2d::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::AdaptiveAvgPool2d{output_size_}, x); }

Tensor AdaptiveAvgPool2d::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(context.x_shape(), dy.dtype(), dy.device());
  kernels::adaptive_avg_pool2d_backward(dy, dx, context.stream());
  return dx;
}

AdaptiveMaxPool2d::AdaptiveMaxPool2d(Size2 output_size) : output_size_(output_size) {
  kernels::adaptive_pool2d_shape({0, 1, 1, 1}, output_size);
}

Shape AdaptiveMaxPool2d::output_shape(const Shape& x) const { return kernels::adaptive_pool2d_shape(x, output_size_); }

Tensor AdaptiveMaxPool2d::forward(const Tensor& x, Context& context) const {
  const Shape shape = output_shape(x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  Tensor argmax = context.keeps() ? Tensor::empty(shape, DType::i32, x.device()) : Tensor{};
  kernels::adaptive_max_pool2d(x, y, argmax, context.stream());
  context.save(argmax);
  return y;
}

int AdaptiveMaxPool2d::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::AdaptiveMaxPool2d{output_size_}, x); }

Tensor AdaptiveMaxPool2d::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(context.x_shape(), dy.dtype(), dy.device());
  kernels::adaptive_max_pool2d_backward(dy, context.saved(), dx, context.stream());
  return dx;
}

}  // namespace gpucnn
