#include <gpucnn/layers/activation/relu.h>

#include <gpucnn/kernels/activation/relu.h>

namespace gpucnn {

Shape ReLU::output_shape(const Shape& x) const { return x; }

Tensor ReLU::forward(const Tensor& x) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::relu(x, y, stream());
  keep(y_, y);
  return y;
}

Tensor ReLU::backward(const Tensor& given) {
  const Tensor dy = check_gradient(given, kept(y_).shape());
  const Tensor y = consume(y_);
  if (!input_grad()) return {};
  Tensor dx = Tensor::empty(y.shape(), y.dtype(), y.device());
  kernels::relu_backward(y, dy, dx, stream());
  return returned(dx);
}

}  // namespace gpucnn
