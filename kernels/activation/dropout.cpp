#include <gpucnn/kernels/activation/dropout.h>

#include <gpucnn/kernels/activation/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

void dropout(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("dropout", "x", x, stream);
  check_tensor("dropout", "y", y, x.shape(), dtype, stream);
  check_value("dropout", "p", p, p >= 0 && p <= 1, "in [0, 1]");
  dispatch(
      stream, [&] { cpu::dropout(x, p, random, y, stream); }, [&] { cuda::dropout(x, p, random, y, stream); });
}

}  // namespace gpucnn::kernels
