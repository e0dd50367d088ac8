#include <gpucnn/kernels/activation/relu.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

namespace cpu {
void relu(const Tensor& x, Tensor& y);
void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx);
}  // namespace cpu

namespace cuda {
void relu(const Tensor& x, Tensor& y, Stream& stream);
void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream);
}  // namespace cuda

void relu(const Tensor& x, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("relu", "x", x, stream);
  check_tensor("relu", "y", y, x.shape(), dtype, stream);
  dispatch(
      stream, [&] { cpu::relu(x, y); }, [&] { cuda::relu(x, y, stream); });
}

void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("relu_backward", "y", y, stream);
  check_tensor("relu_backward", "dy", dy, y.shape(), dtype, stream);
  check_tensor("relu_backward", "dx", dx, y.shape(), dtype, stream);
  dispatch(
      stream, [&] { cpu::relu_backward(y, dy, dx); }, [&] { cuda::relu_backward(y, dy, dx, stream); });
}

}  // namespace gpucnn::kernels
