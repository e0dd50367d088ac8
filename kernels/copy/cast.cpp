#include <gpucnn/kernels/copy/cast.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

namespace cpu {
void cast(const Tensor& x, Tensor& y);
}  // namespace cpu

namespace cuda {
void cast(const Tensor& x, Tensor& y, Stream& stream);
}  // namespace cuda

void cast(const Tensor& x, Tensor& y, Stream& stream) {
  const bool widens = x.dtype() == DType::bf16;
  check_tensor("cast", "x", x, widens ? DType::bf16 : DType::f32, stream);
  check_tensor("cast", "y", y, x.shape(), widens ? DType::f32 : DType::bf16, stream);
  dispatch(
      stream, [&] { cpu::cast(x, y); }, [&] { cuda::cast(x, y, stream); });
}

}  // namespace gpucnn::kernels
