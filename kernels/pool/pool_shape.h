#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include <gpucnn/core/shape.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/window_count.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// Checks and shapes of all poolings with a window.
namespace gpucnn::kernels {

/// As 2x3.
inline std::string text_of(Size2 size) { return formatted("{}x{}", size.height, size.width); }

inline void check_value(std::string_view op, std::string_view name, Size2 size, bool good, std::string_view rule) {
  if (!good) check_value(op, name, text_of(size), good, rule);
}

inline void check_pool(std::string_view op, const Pool2d& pool) {
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  check_value(op, "kernel_size", kernel,
              kernel.height > 0 && kernel.width > 0 &&
                  std::int64_t{kernel.height} * kernel.width <= std::numeric_limits<std::int32_t>::max(),
              "positive and at most 2147483647 elements");
  check_value(op, "stride", stride, stride.height > 0 && stride.width > 0, "positive");
  check_value(op, "padding", padding,
              padding.height >= 0 && padding.width >= 0 && padding.height <= kernel.height / 2 && padding.width <= kernel.width / 2,
              "at least 0 and at most half of kernel_size");
  check_value(op, "dilation", dilation, dilation.height > 0 && dilation.width > 0, "positive");
}

/// Elements from the first to the last of a window.
inline std::int64_t window_extent(int kernel_size, int dilation) { return std::int64_t{kernel_size - 1} * dilation + 1; }

/// How many windows lie side by side: 0 if none fits.
inline std::uint64_t pooled_size(std::int64_t size, int kernel_size, int stride, int padding, int dilation, bool ceil_mode) {
  const std::int64_t extent = window_extent(kernel_size, dilation);
  const std::uint64_t whole = window_count(size, extent, stride, 2 * std::int64_t{padding});
  if (!ceil_mode) return whole;
  const auto padded = static_cast<std::uint64_t>(size) + 2 * static_cast<std::uint64_t>(padding);
  const auto step = static_cast<std::uint64_t>(stride);
  if (padded + step - 1 < static_cast<std::uint64_t>(extent)) return 0;
  const std::uint64_t count = (padded + step - 1 - static_cast<std::uint64_t>(extent)) / step + 1;
  // One that begins behind the image is left out.
  return (count - 1) * step >= static_cast<std::uint64_t>(size) + static_cast<std::uint64_t>(padding) ? count - 1 : count;
}

/// That x is [N, C, H, W]. `prefix` begins each message.
inline void check_images(std::string_view prefix, const Shape& x) {
  if (x.rank() != 4) {
    throw std::invalid_argument(
        formatted("{}expects [N, C, H, W], got {}{}", prefix, x.string(), x.rank() == 3 ? ": add a batch dimension" : ""));
  }
}

/// The shape of y.
inline Shape pooled_shape(std::string_view prefix, const Shape& x, const Pool2d& pool) {
  check_images(prefix, x);
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  const std::uint64_t height = pooled_size(x[2], kernel.height, stride.height, padding.height, dilation.height, pool.ceil_mode);
  const std::uint64_t width = pooled_size(x[3], kernel.width, stride.width, padding.width, dilation.width, pool.ceil_mode);
  if (x[2] == 0 || x[3] == 0 || height == 0 || width == 0) {
    const std::string spread = dilation == 1 ? std::string() : formatted(", dilation {}", text_of(dilation));
    throw std::invalid_argument(formatted("{}a window of {} with padding {}{} does not fit {}", prefix, text_of(kernel),
                                          text_of(padding), spread, x.string()));
  }
  return {x[0], x[1], height, width};
}

}  // namespace gpucnn::kernels
