#include <gpucnn/kernels/activation/dropout.h>

#include <gpucnn/kernels/activation/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {
namespace {

void check_dropout(std::string_view op, const Tensor& x, double p, const Tensor& y, const Stream& stream) {
  const DType dtype = check_activation(op, "x", x, stream);
  check_tensor(op, "y", y, x.shape(), dtype, stream);
  check_value(op, "p", p, p >= 0 && p <= 1, "in [0, 1]");
}

}  // namespace

void dropout(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream) {
  check_dropout("dropout", x, p, y, stream);
  dispatch(
      stream, [&] { cpu::dropout(x, p, random, y, stream); }, [&] { cuda::dropout(x, p, random, y, stream); });
}

void dropout2d(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream) {
  check_dropout("dropout2d", x, p, y, stream);
  check_rank("dropout2d", "x", x, 4);
  if (x.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::dropout2d(x, p, random, y, stream); }, [&] { cuda::dropout2d(x, p, random, y, stream); });
}

}  // namespace gpucnn::kernels
