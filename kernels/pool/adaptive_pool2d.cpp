#include <gpucnn/kernels/pool/adaptive_pool2d.h>

#include <limits>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/pool/pool_shape.h>
#include <gpucnn/kernels/pool/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kMaxPixels = std::numeric_limits<std::int32_t>::max();

/// Whether x is [N, C, H, W] with pixels, and not too many.
bool has_pixels(const Shape& x) { return x.rank() == 4 && x[2] > 0 && x[3] > 0 && x[2] <= kMaxPixels / x[3]; }

/// That it has them. `prefix` begins each message.
void check_pixels(std::string_view prefix, const Shape& x) {
  check_images(prefix, x);
  if (!has_pixels(x)) {
    throw std::invalid_argument(formatted("{}an image must have 1 to {} pixels, got {}", prefix, kMaxPixels, x.string()));
  }
}

/// That y: [N, C, Ho, Wo] divides x: [N, C, H, W] into bins.
void check_bins(std::string_view op, std::string_view name, const Tensor& y, const Tensor& x, DType dtype, const Stream& stream) {
  if (!has_pixels(x.shape())) check_pixels(formatted("{}: ", op), x.shape());  // texts are made for messages only
  check_tensor(op, name, y, dtype, stream);
  check_rank(op, name, y, 4);
  check_tensor(op, name, y, {x.dim(0), x.dim(1), y.dim(2), y.dim(3)}, dtype, stream);
  if (y.dim(2) == 0 || y.dim(3) == 0) check_value(op, name, y.shape().string(), false, "at least 1 high and wide");
}

PoolWindows windows_of(const Tensor& x, const Tensor& y) { return {{x.dim(2), y.dim(2)}, {x.dim(3), y.dim(3)}}; }

}  // namespace

Shape adaptive_pool2d_shape(const Shape& x, Size2 output_size) {
  check_value("AdaptiveAvgPool2d or AdaptiveMaxPool2d", "output_size", output_size, output_size.height > 0 && output_size.width > 0,
              "positive");
  check_pixels("", x);
  return {x[0], x[1], output_size.height, output_size.width};
}

void adaptive_avg_pool2d(const Tensor& x, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("adaptive_avg_pool2d", "x", x, stream);
  check_bins("adaptive_avg_pool2d", "y", y, x, dtype, stream);
  check_apart("adaptive_avg_pool2d", "y", y, "x", x);
  if (x.numel() == 0) return;
  const PoolWindows windows = windows_of(x, y);
  dispatch(
      stream, [&] { cpu::window_mean(x, windows, y, stream); }, [&] { cuda::window_mean(x, windows, y, stream); });
}

void adaptive_avg_pool2d_backward(const Tensor& dy, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("adaptive_avg_pool2d_backward", "dx", dx, stream);
  check_bins("adaptive_avg_pool2d_backward", "dy", dy, dx, dtype, stream);
  check_apart("adaptive_avg_pool2d_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  const PoolWindows windows = windows_of(dx, dy);
  dispatch(
      stream, [&] { cpu::window_mean_backward(dy, windows, dx, stream); },
      [&] { cuda::window_mean_backward(dy, windows, dx, stream); });
}

void adaptive_max_pool2d(const Tensor& x, Tensor& y, Tensor& argmax, Stream& stream) {
  const DType dtype = check_activation("adaptive_max_pool2d", "x", x, stream);
  check_bins("adaptive_max_pool2d", "y", y, x, dtype, stream);
  if (argmax.defined()) check_tensor("adaptive_max_pool2d", "argmax", argmax, y.shape(), DType::i32, stream);
  check_apart("adaptive_max_pool2d", "y", y, "x", x);
  if (x.numel() == 0) return;
  const PoolWindows windows = windows_of(x, y);
  dispatch(
      stream, [&] { cpu::window_max(x, windows, y, argmax, stream); }, [&] { cuda::window_max(x, windows, y, argmax, stream); });
}

void adaptive_max_pool2d_backward(const Tensor& dy, const Tensor& argmax, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("adaptive_max_pool2d_backward", "dx", dx, stream);
  check_bins("adaptive_max_pool2d_backward", "dy", dy, dx, dtype, stream);
  check_tensor("adaptive_max_pool2d_backward", "argmax", argmax, dy.shape(), DType::i32, stream);
  check_apart("adaptive_max_pool2d_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  const PoolWindows windows = windows_of(dx, dy);
  dispatch(
      stream, [&] { cpu::window_max_backward(dy, argmax, windows, dx, stream); },
      [&] { cuda::window_max_backward(dy, argmax, windows, dx, stream); });
}

}  // namespace gpucnn::kernels
