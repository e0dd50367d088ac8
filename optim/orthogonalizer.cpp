#include <gpucnn/optim/orthogonalizer.h>

#include <algorithm>
#include <utility>

#include <gpucnn/kernels/muon/newton_schulz.h>

namespace gpucnn {

Orthogonalizer::Orthogonalizer(const Shape& shape, Device device)
    : shape_(shape),
      device_(device),
      product_(shape, std::min(shape[0], shape[1]), /*bias=*/false, device),
      square_(Shape{std::min(shape[0], shape[1]), std::min(shape[0], shape[1])}, std::min(shape[0], shape[1]), /*bias=*/false,
              device) {}

Tensor Orthogonalizer::operator()(Tensor x, const Options& options, Stream& stream) {
  const std::int64_t side = std::min(shape_[0], shape_[1]);
  Tensor next = Tensor::empty(shape_, DType::f32, device_);
  Tensor products = Tensor::empty({side, side}, DType::f32, device_), polynomial = Tensor::empty({side, side}, DType::f32, device_);
  kernels::normalize_matrix(x, options.eps, x, stream);
  for (int step = 0; step < options.steps; ++step) {
    gram(x, products, stream);
    square_.forward(products, products, {}, {}, polynomial, stream);  // its square: it is symmetric
    kernels::newton_schulz_polynomial(products, polynomial, options.coefficients, polynomial, stream);
    apply(x, polynomial, next, stream);
    std::swap(x, next);
  }
  return x;
}

void Orthogonalizer::gram(const Tensor& x, Tensor& y, Stream& stream) {
  Tensor no_bias;
  if (wide()) return product_.forward(x, x, {}, {}, y, stream);
  product_.backward_weights(x, x, {}, y, no_bias, stream);
}

void Orthogonalizer::apply(const Tensor& x, const Tensor& polynomial, Tensor& y, Stream& stream) {
  if (wide()) return product_.backward_data(polynomial, x, y, stream);
  product_.forward(x, polynomial, {}, {}, y, stream);  // x polynomial^T, which is symmetric
}

}  // namespace gpucnn
