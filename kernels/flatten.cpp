#include <gpucnn/kernels/flatten.h>

#include <gpucnn/kernels/check.h>
#include <gpucnn/kernels/dispatch.h>

namespace gpucnn::kernels {

namespace cpu {
void flatten(const Tensor& x, Tensor& y);
void flatten_backward(const Tensor& dy, Tensor& dx);
}  // namespace cpu

namespace cuda {
void flatten(const Tensor& x, Tensor& y, Stream& stream);
void flatten_backward(const Tensor& dy, Tensor& dx, Stream& stream);
}  // namespace cuda

namespace {
Shape flat(const Shape& x) { return {x[0], x[1] * x[2] * x[3]}; }
}  // namespace

void flatten(const Tensor& x, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("flatten", "x", x, stream);
  check_rank("flatten", "x", x, 4);
  check_tensor("flatten", "y", y, flat(x.shape()), dtype, stream);
  check_apart("flatten", "y", y, "x", x);
  dispatch(
      stream, [&] { cpu::flatten(x, y); }, [&] { cuda::flatten(x, y, stream); });
}

void flatten_backward(const Tensor& dy, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("flatten_backward", "dx", dx, stream);
  check_rank("flatten_backward", "dx", dx, 4);
  check_tensor("flatten_backward", "dy", dy, flat(dx.shape()), dtype, stream);
  check_apart("flatten_backward", "dx", dx, "dy", dy);
  dispatch(
      stream, [&] { cpu::flatten_backward(dy, dx); }, [&] { cuda::flatten_backward(dy, dx, stream); });
}

}  // namespace gpucnn::kernels
