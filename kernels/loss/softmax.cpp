#include <gpucnn/kernels/loss/softmax.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {

void softmax(const Tensor& x, Tensor& y, Stream& stream) {
  check_tensor("softmax", "x", x, DType::f32, stream);
  check_rank("softmax", "x", x, 2);
  check_tensor("softmax", "y", y, x.shape(), DType::f32, stream);
  dispatch(
      stream, [&] { cpu::softmax(x, y, stream); }, [&] { cuda::softmax(x, y, stream); });
}

}  // namespace gpucnn::kernels
