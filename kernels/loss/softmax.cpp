#include <gpucnn/kernels/loss/softmax.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

namespace cpu {
void softmax(const Tensor& x, Tensor& y);
}  // namespace cpu

namespace cuda {
void softmax(const Tensor& x, Tensor& y, Stream& stream);
}  // namespace cuda

void softmax(const Tensor& x, Tensor& y, Stream& stream) {
  check_tensor("softmax", "x", x, DType::f32, stream);
  check_rank("softmax", "x", x, 2);
  check_tensor("softmax", "y", y, x.shape(), DType::f32, stream);
  dispatch(
      stream, [&] { cpu::softmax(x, y); }, [&] { cuda::softmax(x, y, stream); });
}

}  // namespace gpucnn::kernels
