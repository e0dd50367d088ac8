#include <gpucnn/kernels/softmax.h>

#include <gpucnn/kernels/check.h>
#include <gpucnn/kernels/dispatch.h>

namespace gpucnn::kernels {

namespace cpu {
void softmax(const Tensor& x, Tensor& y);
}

void softmax(const Tensor& x, Tensor& y, Stream& stream) {
  check_tensor("softmax", "x", x, DType::f32, stream);
  check_rank("softmax", "x", x, 2);
  check_tensor("softmax", "y", y, x.shape(), DType::f32, stream);
  dispatch(stream, [&] { cpu::softmax(x, y); });
}

}  // namespace gpucnn::kernels
