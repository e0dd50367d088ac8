#include <gpucnn/kernels/muon/newton_schulz.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/muon/twins.h>

namespace gpucnn::kernels {

void normalize_matrix(const Tensor& x, double eps, Tensor& y, Stream& stream) {
  check_tensor("normalize_matrix", "x", x, DType::f32, stream);
  check_tensor("normalize_matrix", "y", y, x.shape(), DType::f32, stream);
  check_value("normalize_matrix", "eps", eps, eps >= 0, ">= 0");
  dispatch(
      stream, [&] { cpu::normalize_matrix(x, eps, y, stream); }, [&] { cuda::normalize_matrix(x, eps, y, stream); });
}

void newton_schulz_polynomial(const Tensor& gram, const Tensor& square, const std::array<double, 3>& coefficients, Tensor& y,
                              Stream& stream) {
  check_tensor("newton_schulz_polynomial", "gram", gram, DType::f32, stream);
  check_rank("newton_schulz_polynomial", "gram", gram, 2);
  const Shape shape{gram.dim(0), gram.dim(0)};
  check_tensor("newton_schulz_polynomial", "gram", gram, shape, DType::f32, stream);
  check_tensor("newton_schulz_polynomial", "square", square, shape, DType::f32, stream);
  check_tensor("newton_schulz_polynomial", "y", y, shape, DType::f32, stream);
  dispatch(
      stream, [&] { cpu::newton_schulz_polynomial(gram, square, coefficients, y, stream); },
      [&] { cuda::newton_schulz_polynomial(gram, square, coefficients, y, stream); });
}

}  // namespace gpucnn::kernels
