#include <gpucnn/layers/activation/relu.h>

#include <gpucnn/kernels/activation/relu.h>

namespace gpucnn {

Shape ReLU::output_shape(const Shape& x) const { return x; }

Tensor ReLU::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::relu(x, y, context.stream());
  context.save(y);
  return y;
}

Tensor ReLU::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  kernels::relu_backward(context.saved(), dy, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
