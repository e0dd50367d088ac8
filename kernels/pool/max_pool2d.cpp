#include <gpucnn/kernels/pool/max_pool2d.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/pool/pool_shape.h>
#include <gpucnn/kernels/pool/twins.h>

namespace gpucnn::kernels {

Shape max_pool2d_shape(const Shape& x, const Pool2d& pool) {
  check_pool("MaxPool2d", pool);
  return pooled_shape("", x, pool);
}

DType max_pool2d_argmax_dtype(const Pool2d& pool) noexcept {
  constexpr std::int64_t kMaxBytes = 256;  // elements whose index is a u8
  return std::int64_t{pool.kernel_size.height} * pool.kernel_size.width <= kMaxBytes ? DType::u8 : DType::i32;
}

void max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream) {
  const DType dtype = check_activation("max_pool2d", "x", x, stream);
  check_pool("max_pool2d", pool);
  const Shape shape = pooled_shape("max_pool2d: ", x.shape(), pool);
  check_tensor("max_pool2d", "y", y, shape, dtype, stream);
  check_apart("max_pool2d", "y", y, "x", x);
  if (argmax.defined()) check_tensor("max_pool2d", "argmax", argmax, shape, max_pool2d_argmax_dtype(pool), stream);
  if (x.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::max_pool2d(x, pool, y, argmax, stream); }, [&] { cuda::max_pool2d(x, pool, y, argmax, stream); });
}

void max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("max_pool2d_backward", "dx", dx, stream);
  check_pool("max_pool2d_backward", pool);
  const Shape shape = pooled_shape("max_pool2d_backward: ", dx.shape(), pool);
  check_tensor("max_pool2d_backward", "dy", dy, shape, dtype, stream);
  check_tensor("max_pool2d_backward", "argmax", argmax, shape, max_pool2d_argmax_dtype(pool), stream);
  check_apart("max_pool2d_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::max_pool2d_backward(dy, argmax, pool, dx, stream); },
      [&] { cuda::max_pool2d_backward(dy, argmax, pool, dx, stream); });
}

}  // namespace gpucnn::kernels
