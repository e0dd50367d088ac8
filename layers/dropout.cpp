#include <gpucnn/layers/dropout.h>

#include <stdexcept>

#include <fmt/format.h>

#include <gpucnn/kernels/activation/dropout.h>

namespace gpucnn {

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0.0 && p <= 1.0)) throw std::invalid_argument(fmt::format("Dropout: p must be from 0 to 1, got {}", p));
}

Shape Dropout::output_shape(const Shape& x) const { return x; }

std::optional<RandomStream> Dropout::keep_mask(const Shape& x) {
  const bool drops = training() && p_ > 0.0;
  const std::optional<RandomStream> mask = drops ? std::optional(random(Purpose::dropout)) : std::nullopt;
  if (keeps()) kept_ = Kept{x, mask};
  return mask;
}

Tensor Dropout::forward(const Tensor& x) {
  const std::optional<RandomStream> mask = keep_mask(x.shape());
  if (!mask) return x;
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::dropout(x, p_, *mask, y, stream());
  return y;
}

Tensor Dropout::backward(const Tensor& given) {
  const Tensor dy = check_gradient(given, kept(kept_).shape);
  const Kept forward = consume(kept_);
  if (!input_grad()) return {};
  if (!forward.mask) return returned(dy);
  Tensor dx = Tensor::empty(forward.shape, dy.dtype(), dy.device());
  kernels::dropout(dy, p_, *forward.mask, dx, stream());
  return returned(dx);
}

}  // namespace gpucnn
