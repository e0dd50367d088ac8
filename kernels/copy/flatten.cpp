#include <gpucnn/kernels/copy/flatten.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {

Shape flatten_shape(const Shape& x) {
  if (x.rank() < 2) {
    throw std::invalid_argument(formatted("expects at least 2 dimensions, got {}: add a batch dimension", x.string()));
  }
  return {x[0], Shape::from({x.begin() + 1, x.end()}).numel()};
}

void flatten(const Tensor& x, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("flatten", "x", x, stream);
  check_rank("flatten", "x", x, 4);
  check_tensor("flatten", "y", y, flatten_shape(x.shape()), dtype, stream);
  check_apart("flatten", "y", y, "x", x);
  if (x.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::flatten(x, y, stream); }, [&] { cuda::flatten(x, y, stream); });
}

void flatten_backward(const Tensor& dy, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("flatten_backward", "dx", dx, stream);
  check_rank("flatten_backward", "dx", dx, 4);
  check_tensor("flatten_backward", "dy", dy, flatten_shape(dx.shape()), dtype, stream);
  check_apart("flatten_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::flatten_backward(dy, dx, stream); }, [&] { cuda::flatten_backward(dy, dx, stream); });
}

}  // namespace gpucnn::kernels
