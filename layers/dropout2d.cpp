#include <gpucnn/layers/dropout2d.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/activation/dropout.h>

namespace gpucnn {

Dropout2d::Dropout2d(double p) : p_(p) {
  if (!(p >= 0.0 && p <= 1.0)) throw std::invalid_argument(formatted("Dropout2d: p must be from 0 to 1, got {}", p));
}

Shape Dropout2d::output_shape(const Shape& x) const {
  if (x.rank() != 4) throw std::invalid_argument(formatted("expects [N, C, H, W], got {}", x.string()));
  return x;
}

/// The backward is the forward of dy, with the same mask.
Tensor Dropout2d::drop(const Tensor& x, Context& context) const {
  if (!context.training() || p_ == 0.0) return x;
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Shape channels{x.dim(0), x.dim(1)};
  kernels::dropout2d(x, p_, context.random(Purpose::dropout, channels), y, context.stream());
  return y;
}

Tensor Dropout2d::forward(const Tensor& x, Context& context) const { return drop(x, context); }

Tensor Dropout2d::gradients(const Tensor& dy, Context& context) { return context.input_grad() ? drop(dy, context) : Tensor{}; }

}  // namespace gpucnn
