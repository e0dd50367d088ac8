#pragma once

#include <cstdint>

#include <gpucnn/kernels/augment/augment_stream.h>
#include <gpucnn/kernels/augment/box.h>
#include <gpucnn/kernels/common/host_device.h>

/// For both devices.
namespace gpucnn::kernels {

/// What cutout sets to 0 in the image at this position of the epoch: see cutout.h.
GPUCNN_HOST_DEVICE inline Box cutout_square(std::int64_t size, const BatchPosition& batch, std::uint64_t position, std::int64_t H,
                                            std::int64_t W) {
  const RandomStream random = augment_stream(batch, Augmentation::cutout);
  const std::int64_t top = std::int64_t{random.below(2 * position, static_cast<std::uint32_t>(H))} - size / 2;
  const std::int64_t left = std::int64_t{random.below(2 * position + 1, static_cast<std::uint32_t>(W))} - size / 2;
  return inside({top, top + size, left, left + size}, H, W);
}

}  // namespace gpucnn::kernels
