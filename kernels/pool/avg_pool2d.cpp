#include <gpucnn/kernels/pool/avg_pool2d.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/pool/pool_shape.h>
#include <gpucnn/kernels/pool/twins.h>

namespace gpucnn::kernels {
namespace {

Pool2d window_of(const AvgPool2dOptions& pool) {
  return {pool.kernel_size, pool.stride.value_or(pool.kernel_size), pool.padding, 1, pool.ceil_mode};
}

void check_avg(std::string_view op, const AvgPool2dOptions& pool) {
  check_pool(op, window_of(pool));
  check_value(op, "divisor_override", pool.divisor_override.value_or(1), pool.divisor_override != 0, "another number than 0");
}

PoolWindows windows_of(const AvgPool2dOptions& options, const Shape& x, const Shape& y) {
  const Pool2d pool = window_of(options);
  return {{x[2], y[2], pool.kernel_size.height, pool.stride.height, pool.padding.height},
          {x[3], y[3], pool.kernel_size.width, pool.stride.width, pool.padding.width},
          options.count_include_pad,
          options.divisor_override.value_or(0)};
}

}  // namespace

Shape avg_pool2d_shape(const Shape& x, const AvgPool2dOptions& pool) {
  check_avg("AvgPool2d", pool);
  return pooled_shape("", x, window_of(pool));
}

void avg_pool2d(const Tensor& x, const AvgPool2dOptions& pool, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("avg_pool2d", "x", x, stream);
  check_avg("avg_pool2d", pool);
  const Shape shape = pooled_shape("avg_pool2d: ", x.shape(), window_of(pool));
  check_tensor("avg_pool2d", "y", y, shape, dtype, stream);
  check_apart("avg_pool2d", "y", y, "x", x);
  if (x.numel() == 0) return;
  const PoolWindows windows = windows_of(pool, x.shape(), shape);
  dispatch(
      stream, [&] { cpu::window_mean(x, windows, y, stream); }, [&] { cuda::window_mean(x, windows, y, stream); });
}

void avg_pool2d_backward(const Tensor& dy, const AvgPool2dOptions& pool, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("avg_pool2d_backward", "dx", dx, stream);
  check_avg("avg_pool2d_backward", pool);
  const Shape shape = pooled_shape("avg_pool2d_backward: ", dx.shape(), window_of(pool));
  check_tensor("avg_pool2d_backward", "dy", dy, shape, dtype, stream);
  check_apart("avg_pool2d_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  const PoolWindows windows = windows_of(pool, dx.shape(), shape);
  dispatch(
      stream, [&] { cpu::window_mean_backward(dy, windows, dx, stream); },
      [&] { cuda::window_mean_backward(dy, windows, dx, stream); });
}

}  // namespace gpucnn::kernels
