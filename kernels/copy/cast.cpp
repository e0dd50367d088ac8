#include <gpucnn/kernels/copy/cast.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {

void cast(const Tensor& x, Tensor& y, Stream& stream) {
  const bool widens = x.dtype() == DType::bf16;
  check_tensor("cast", "x", x, widens ? DType::bf16 : DType::f32, stream);
  check_tensor("cast", "y", y, x.shape(), widens ? DType::f32 : DType::bf16, stream);
  dispatch(
      stream, [&] { cpu::cast(x, y, stream); }, [&] { cuda::cast(x, y, stream); });
}

}  // namespace gpucnn::kernels
