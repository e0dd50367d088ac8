#include <gpucnn/layers/flatten.h>

#include <gpucnn/kernels/copy/flatten.h>

namespace gpucnn {

Shape Flatten::output_shape(const Shape& x) const { return kernels::flatten_shape(x); }

Tensor Flatten::forward(const Tensor& x) {
  if (keeps()) x_shape_ = x.shape();
  const Shape shape = output_shape(x.shape());
  if (x.rank() != 4) return x.view(0, shape);  // dense as written: the same memory
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  kernels::flatten(x, y, stream());
  return y;
}

Tensor Flatten::backward(const Tensor& given) {
  const Tensor dy = check_gradient(given, output_shape(kept(x_shape_)));
  const Shape shape = consume(x_shape_);
  if (!input_grad()) return {};
  if (shape.rank() != 4) return returned(dy.view(0, shape));
  Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
  kernels::flatten_backward(dy, dx, stream());
  return returned(dx);
}

}  // namespace gpucnn
