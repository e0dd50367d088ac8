#include <gpucnn/layers/dropout.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/activation/dropout.h>

namespace gpucnn {

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0.0 && p <= 1.0)) throw std::invalid_argument(formatted("Dropout: p must be from 0 to 1, got {}", p));
}

Shape Dropout::output_shape(const Shape& x) const { return x; }

std::optional<RandomStream> Dropout::mask(const Shape& x, const Context& context) const {
  const bool drops = context.training() && p_ > 0.0;
  return drops ? std::optional(context.random(Purpose::dropout, x)) : std::nullopt;
}

Tensor Dropout::forward(const Tensor& x, Context& context) const {
  const std::optional<RandomStream> drops = mask(x.shape(), context);
  if (!drops) return x;
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::dropout(x, p_, *drops, y, context.stream());
  return y;
}

Tensor Dropout::gradients(const Tensor& dy, Context& context) {
  if (!context.input_grad()) return {};
  const std::optional<RandomStream> dropped = mask(dy.shape(), context);
  if (!dropped) return dy;
  Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  kernels::dropout(dy, p_, *dropped, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
