#pragma once

#include <cstdint>

#include <gpucnn/kernels/common/host_device.h>

/// For both devices.
namespace gpucnn::kernels {

/// Rows [top, bottom) and columns [left, right) of an image.
struct Box {
  std::int64_t top, bottom, left, right;

  GPUCNN_HOST_DEVICE std::int64_t height() const { return bottom - top; }
  GPUCNN_HOST_DEVICE std::int64_t width() const { return right - left; }
  GPUCNN_HOST_DEVICE bool holds(std::int64_t row, std::int64_t column) const {
    return row >= top && row < bottom && column >= left && column < right;
  }
};

/// The part of a box in an image of H by W.
GPUCNN_HOST_DEVICE inline Box inside(const Box& box, std::int64_t H, std::int64_t W) {
  return {box.top < 0 ? 0 : box.top, box.bottom > H ? H : box.bottom, box.left < 0 ? 0 : box.left, box.right > W ? W : box.right};
}

}  // namespace gpucnn::kernels
