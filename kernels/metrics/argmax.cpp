#include <gpucnn/kernels/metrics/argmax.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels {

void argmax(const Tensor& x, Tensor& y, Stream& stream) {
  check_tensor("argmax", "x", x, DType::f32, stream);
  check_rank("argmax", "x", x, 2);
  check_value("argmax", "the number of columns", x.dim(1), x.dim(1) > 0, "> 0");
  check_tensor("argmax", "y", y, {x.dim(0)}, DType::i64, stream);
  dispatch(
      stream, [&] { cpu::argmax(x, y, stream); }, [&] { cuda::argmax(x, y, stream); });
}

}  // namespace gpucnn::kernels
