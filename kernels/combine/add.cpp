#include <gpucnn/kernels/combine/add.h>

#include <gpucnn/kernels/combine/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

void add(const Tensor& a, const Tensor& b, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("add", "a", a, stream);
  check_tensor("add", "b", b, a.shape(), dtype, stream);
  check_tensor("add", "y", y, a.shape(), dtype, stream);
  if (y.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::add(a, b, y, stream); }, [&] { cuda::add(a, b, y, stream); });
}

}  // namespace gpucnn::kernels
