#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/common/host_device.h>

/// Windows without dilation, as averages and adaptive poolings see them, for both devices.
namespace gpucnn::kernels {

/// The windows along one side. Adaptive ones (`kernel_size` 0) divide the image into `count` bins, which may overlap: bin i goes
/// from floor(i size / count) to ceil((i + 1) size / count).
struct WindowAxis {
  std::int64_t size, count;  // of the image, of windows
  std::int64_t kernel_size = 0, stride = 0, padding = 0;

  /// Window i in the image: [begin(i), end(i)).
  GPUCNN_HOST_DEVICE std::int64_t begin(std::int64_t i) const {
    return kernel_size == 0 ? i * size / count : std::max<std::int64_t>(0, i * stride - padding);
  }
  GPUCNN_HOST_DEVICE std::int64_t end(std::int64_t i) const {
    return kernel_size == 0 ? ((i + 1) * size + count - 1) / count : std::min(size, i * stride - padding + kernel_size);
  }
  /// The elements of window i with those in the padding, but without those beyond it.
  GPUCNN_HOST_DEVICE std::int64_t padded_extent(std::int64_t i) const {
    return kernel_size == 0 ? end(i) - begin(i) : std::min(kernel_size, size + 2 * padding - i * stride);
  }
  /// The windows that element p of the image lies in: [first_over(p), last_over(p)].
  GPUCNN_HOST_DEVICE std::int64_t first_over(std::int64_t p) const {
    if (kernel_size == 0) return p * count / size;
    return p + padding < kernel_size ? 0 : (p + padding - kernel_size) / stride + 1;
  }
  GPUCNN_HOST_DEVICE std::int64_t last_over(std::int64_t p) const {
    if (kernel_size == 0) return ((p + 1) * count + size - 1) / size - 1;
    return std::min((p + padding) / stride, count - 1);
  }
};

/// The windows of [N, C, H, W], and what the sum of one is divided by.
struct PoolWindows {
  WindowAxis rows, columns;
  bool count_padding = false;
  std::int64_t fixed_divisor = 0;  // 0: the number of elements

  GPUCNN_HOST_DEVICE float divisor(std::int64_t i, std::int64_t j) const {
    if (fixed_divisor != 0) return static_cast<float>(fixed_divisor);
    if (count_padding) return static_cast<float>(rows.padded_extent(i) * columns.padded_extent(j));
    return static_cast<float>((rows.end(i) - rows.begin(i)) * (columns.end(j) - columns.begin(j)));
  }
};

}  // namespace gpucnn::kernels
