#include <gpucnn/kernels/loss/softmax.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {
namespace {

/// Returns the dtype.
DType check_rows(std::string_view op, std::string_view name, const Tensor& x, const Stream& stream) {
  const DType dtype = check_activation(op, name, x, stream);
  if (x.rank() != 2 && x.rank() != 4) {
    throw std::invalid_argument(formatted("{}: {} must be [N, C] or [N, C, H, W], got {}", op, name, x.shape().string()));
  }
  return dtype;
}

}  // namespace

void softmax(const Tensor& x, Tensor& y, Stream& stream) {
  const DType dtype = check_rows("softmax", "x", x, stream);
  check_tensor("softmax", "y", y, x.shape(), dtype, stream);
  if (x.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::softmax(x, y, stream); }, [&] { cuda::softmax(x, y, stream); });
}

void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream& stream) {
  const DType dtype = check_rows("softmax_backward", "y", y, stream);
  check_tensor("softmax_backward", "dy", dy, y.shape(), dtype, stream);
  check_tensor("softmax_backward", "dx", dx, y.shape(), dtype, stream);
  if (y.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::softmax_backward(y, dy, dx, stream); }, [&] { cuda::softmax_backward(y, dy, dx, stream); });
}

}  // namespace gpucnn::kernels
