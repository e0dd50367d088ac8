#include <gpucnn/layers/pool/max_pool2d.h>

#include <algorithm>

#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

MaxPool2d::MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding) : MaxPool2d(MaxPool2dOptions{kernel_size, stride, padding}) {}

MaxPool2d::MaxPool2d(const MaxPool2dOptions& options)
    : pool_{options.kernel_size, options.stride.value_or(options.kernel_size), options.padding, options.dilation,
            options.ceil_mode} {
  // A small image that the window fits shows whether the options hold.
  const auto extent = [](int kernel_size, int dilation) { return std::max<std::int64_t>(1, std::int64_t{kernel_size} * dilation); };
  const Size2 kernel = pool_.kernel_size, dilation = pool_.dilation;
  kernels::max_pool2d_shape({0, 1, extent(kernel.height, dilation.height), extent(kernel.width, dilation.width)}, pool_);
}

Shape MaxPool2d::output_shape(const Shape& x) const { return kernels::max_pool2d_shape(x, pool_); }

Tensor MaxPool2d::forward(const Tensor& x, Context& context) const {
  const Shape shape = output_shape(x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  Tensor argmax = context.keeps() ? Tensor::empty(shape, kernels::max_pool2d_argmax_dtype(pool_), x.device()) : Tensor{};
  kernels::max_pool2d(x, pool_, y, argmax, context.stream());
  context.save(argmax);
  return y;
}

int MaxPool2d::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::MaxPool2d{pool_}, x); }

Tensor MaxPool2d::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(context.x_shape(), dy.dtype(), dy.device());
  kernels::max_pool2d_backward(dy, context.saved(), pool_, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
