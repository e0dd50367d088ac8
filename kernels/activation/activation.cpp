#include <gpucnn/kernels/activation/activation.h>

#include <gpucnn/kernels/activation/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

void activation(const Tensor& x, const Activation& function, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("activation", "x", x, stream);
  check_tensor("activation", "y", y, x.shape(), dtype, stream);
  dispatch(
      stream, [&] { cpu::activation(x, function, y, stream); }, [&] { cuda::activation(x, function, y, stream); });
}

void activation_backward(const Tensor& kept, const Activation& function, const Tensor& dy, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("activation_backward", "kept", kept, stream);
  check_tensor("activation_backward", "dy", dy, kept.shape(), dtype, stream);
  check_tensor("activation_backward", "dx", dx, kept.shape(), dtype, stream);
  dispatch(
      stream, [&] { cpu::activation_backward(kept, function, dy, dx, stream); },
      [&] { cuda::activation_backward(kept, function, dy, dx, stream); });
}

}  // namespace gpucnn::kernels
