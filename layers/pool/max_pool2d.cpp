#include <gpucnn/layers/pool/max_pool2d.h>

#include <algorithm>

namespace gpucnn {

MaxPool2d::MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding) : pool_{kernel_size, stride, padding} {
  // The smallest image that the window fits shows whether the options hold.
  kernels::max_pool2d_shape({1, 1, std::max(1, kernel_size.height), std::max(1, kernel_size.width)}, pool_);
}

Shape MaxPool2d::output_shape(const Shape& x) const { return kernels::max_pool2d_shape(x, pool_); }

Tensor MaxPool2d::forward(const Tensor& x, Context& context) const {
  const Shape shape = output_shape(x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  Tensor argmax = context.keeps() ? Tensor::empty(shape, DType::u8, x.device()) : Tensor{};
  kernels::max_pool2d(x, pool_, y, argmax, context.stream());
  context.save(argmax);
  return y;
}

Tensor MaxPool2d::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(context.x_shape(), dy.dtype(), dy.device());
  kernels::max_pool2d_backward(dy, context.saved(), pool_, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
