#include <gpucnn/layers/pool/upsample.h>

#include <gpucnn/kernels/pool/upsample_nearest2d.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Upsample::Upsample(Size2 scale_factor) : scale_factor_(scale_factor) {
  kernels::upsample_nearest2d_shape({0, 1, 1, 1}, scale_factor);
}

Shape Upsample::output_shape(const Shape& x) const { return kernels::upsample_nearest2d_shape(x, scale_factor_); }

Tensor Upsample::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype(), x.device());
  kernels::upsample_nearest2d(x, scale_factor_, y, context.stream());
  return y;
}

int Upsample::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::Upsample{scale_factor_}, x); }

Tensor Upsample::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(context.x_shape(), dy.dtype(), dy.device());
  kernels::upsample_nearest2d_backward(dy, scale_factor_, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
