#include <gpucnn/layers/max_pool2d.h>

#include <algorithm>

namespace gpucnn {

MaxPool2d::MaxPool2d(Size2 kernel_size, Size2 stride, Size2 padding) : pool_{kernel_size, stride, padding} {
  // The smallest image that the window fits shows whether the options hold.
  kernels::max_pool2d_shape({1, 1, std::max(1, kernel_size.height), std::max(1, kernel_size.width)}, pool_);
}

Shape MaxPool2d::output_shape(const Shape& x) const { return kernels::max_pool2d_shape(x, pool_); }

Tensor MaxPool2d::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  Tensor argmax = keeps() ? Tensor::empty(shape, DType::u8, x.device()) : Tensor{};
  kernels::max_pool2d(x, pool_, y, argmax, stream());
  keep(argmax_, argmax);
  if (keeps()) x_shape_ = x.shape();
  return y;
}

Tensor MaxPool2d::backward(const Tensor& given) {
  const Tensor dy = check_gradient(given, kept(argmax_).shape());
  const Tensor argmax = consume(argmax_);
  if (!input_grad()) return {};
  Tensor dx = Tensor::empty(x_shape_, dy.dtype(), dy.device());
  kernels::max_pool2d_backward(dy, argmax, pool_, dx, stream());
  return returned(dx);
}

}  // namespace gpucnn
