#include <gpucnn/kernels/pool/max_pool2d.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/common/window_count.h>
#include <gpucnn/kernels/pool/twins.h>

/// As 2x3, written only where a message needs it.
template <>
struct fmt::formatter<gpucnn::Size2> {
  static constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const gpucnn::Size2& size, Context& context) const {
    return fmt::format_to(context.out(), "{}x{}", size.height, size.width);
  }
};

namespace gpucnn::kernels {

namespace {

constexpr std::int64_t kMaxWindow = 256;  // elements: argmax is a u8

void check_pool(std::string_view op, const Pool2d& pool) {
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding;
  const std::int64_t window = static_cast<std::int64_t>(kernel.height) * kernel.width;
  check_value(op, "kernel_size", kernel, kernel.height > 0 && kernel.width > 0 && window <= kMaxWindow,
              "positive and at most 256 elements");
  check_value(op, "stride", stride, stride.height > 0 && stride.width > 0, "positive");
  check_value(op, "padding", padding,
              padding.height >= 0 && padding.width >= 0 && padding.height <= kernel.height / 2 && padding.width <= kernel.width / 2,
              "at least 0 and at most half of kernel_size");
}

/// `prefix` begins each message.
Shape pooled_shape(std::string_view prefix, const Shape& x, const Pool2d& pool) {
  if (x.rank() != 4) {
    throw std::invalid_argument(
        fmt::format("{}expects [N, C, H, W], got {}{}", prefix, x.string(), x.rank() == 3 ? ": add a batch dimension" : ""));
  }
  const std::uint64_t height = window_count(x[2], pool.kernel_size.height, pool.stride.height, pool.padding.height);
  const std::uint64_t width = window_count(x[3], pool.kernel_size.width, pool.stride.width, pool.padding.width);
  if (x[2] == 0 || x[3] == 0 || height == 0 || width == 0) {
    throw std::invalid_argument(
        fmt::format("{}a window of {} with padding {} does not fit {}", prefix, pool.kernel_size, pool.padding, x.string()));
  }
  return {x[0], x[1], height, width};
}

}  // namespace

Shape max_pool2d_shape(const Shape& x, const Pool2d& pool) {
  check_pool("max_pool2d", pool);
  return pooled_shape("", x, pool);
}

void max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream) {
  const DType dtype = check_activation("max_pool2d", "x", x, stream);
  check_pool("max_pool2d", pool);
  const Shape shape = pooled_shape("max_pool2d: ", x.shape(), pool);
  check_tensor("max_pool2d", "y", y, shape, dtype, stream);
  check_apart("max_pool2d", "y", y, "x", x);
  if (argmax.defined()) check_tensor("max_pool2d", "argmax", argmax, shape, DType::u8, stream);
  if (x.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::max_pool2d(x, pool, y, argmax, stream); }, [&] { cuda::max_pool2d(x, pool, y, argmax, stream); });
}

void max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("max_pool2d_backward", "dx", dx, stream);
  check_pool("max_pool2d_backward", pool);
  const Shape shape = pooled_shape("max_pool2d_backward: ", dx.shape(), pool);
  check_tensor("max_pool2d_backward", "dy", dy, shape, dtype, stream);
  check_tensor("max_pool2d_backward", "argmax", argmax, shape, DType::u8, stream);
  check_apart("max_pool2d_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::max_pool2d_backward(dy, argmax, pool, dx, stream); },
      [&] { cuda::max_pool2d_backward(dy, argmax, pool, dx, stream); });
}

}  // namespace gpucnn::kernels
