#include <gpucnn/kernels/pool/upsample_nearest2d.h>

#include <limits>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/pool/pool_shape.h>
#include <gpucnn/kernels/pool/twins.h>

namespace gpucnn::kernels {
namespace {

/// `size` elements, each `scale` times; more than a Shape takes where 64 bits do not count them.
std::uint64_t enlarged(std::int64_t size, int scale) {
  const auto many = static_cast<std::uint64_t>(size), times = static_cast<std::uint64_t>(scale);
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  return many > kMax / times ? kMax : many * times;
}

Shape enlarged_shape(std::string_view prefix, const Shape& x, Size2 scale) {
  check_images(prefix, x);
  if (x[2] == 0 || x[3] == 0) throw std::invalid_argument(formatted("{}images of {} have no pixel", prefix, x.string()));
  return {x[0], x[1], enlarged(x[2], scale.height), enlarged(x[3], scale.width)};
}

void check_scale(std::string_view op, Size2 scale) {
  check_value(op, "scale_factor", scale, scale.height > 0 && scale.width > 0, "positive");
}

}  // namespace

Shape upsample_nearest2d_shape(const Shape& x, Size2 scale) {
  check_scale("Upsample", scale);
  return enlarged_shape("", x, scale);
}

void upsample_nearest2d(const Tensor& x, Size2 scale, Tensor& y, Stream& stream) {
  const DType dtype = check_activation("upsample_nearest2d", "x", x, stream);
  check_scale("upsample_nearest2d", scale);
  check_tensor("upsample_nearest2d", "y", y, enlarged_shape("upsample_nearest2d: ", x.shape(), scale), dtype, stream);
  check_apart("upsample_nearest2d", "y", y, "x", x);
  if (x.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::upsample_nearest2d(x, scale, y, stream); }, [&] { cuda::upsample_nearest2d(x, scale, y, stream); });
}

void upsample_nearest2d_backward(const Tensor& dy, Size2 scale, Tensor& dx, Stream& stream) {
  const DType dtype = check_activation("upsample_nearest2d_backward", "dx", dx, stream);
  check_scale("upsample_nearest2d_backward", scale);
  const Shape shape = enlarged_shape("upsample_nearest2d_backward: ", dx.shape(), scale);
  check_tensor("upsample_nearest2d_backward", "dy", dy, shape, dtype, stream);
  check_apart("upsample_nearest2d_backward", "dx", dx, "dy", dy);
  if (dx.numel() == 0) return;
  // Windows side by side, whose sums are divided by 1.
  const PoolWindows windows{{shape[2], dx.dim(2), scale.height, scale.height},
                            {shape[3], dx.dim(3), scale.width, scale.width},
                            /*count_padding=*/false,
                            /*fixed_divisor=*/1};
  dispatch(
      stream, [&] { cpu::window_mean(dy, windows, dx, stream); }, [&] { cuda::window_mean(dy, windows, dx, stream); });
}

}  // namespace gpucnn::kernels
