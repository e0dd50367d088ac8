#pragma once

#include <cmath>
#include <cstdint>

#include <gpucnn/kernels/augment/augment_stream.h>
#include <gpucnn/kernels/common/host_device.h>
#include <gpucnn/kernels/image/random_resized_crop_options.h>

/// What random resized crops share, for both devices: see image_batch.h.
namespace gpucnn::kernels {

/// The options as they are drawn from.
struct CropRanges {
  double scale_low, scale_high, ratio_low, ratio_high, log_ratio_low, log_ratio_high;
};

inline CropRanges crop_ranges(const RandomResizedCropOptions& options) {
  const auto [low, high] = options.ratio;
  return {options.scale.first, options.scale.second, low, high, std::log(low), std::log(high)};
}

/// A part of an image.
struct CropBox {
  std::int64_t top, left, height, width;
};

/// torchvision's RandomResizedCrop.get_params for the image of H by W, both > 0, at this position of the epoch.
GPUCNN_HOST_DEVICE inline CropBox crop_box(const CropRanges& ranges, const BatchPosition& batch, std::uint64_t position,
                                           std::int64_t H, std::int64_t W) {
  constexpr std::uint64_t kTries = 10;
  const RandomStream random = augment_stream(batch, Augmentation::random_resized_crop);
  const auto height = static_cast<double>(H), width = static_cast<double>(W);
  for (std::uint64_t t = 0; t < kTries; ++t) {
    const auto words = random.block(kTries * position + t);
    const auto drawn = [](double low, double high, std::uint32_t word) {
      return low + (high - low) * static_cast<double>(RandomStream::to_uniform(word));
    };
    const double area = height * width * drawn(ranges.scale_low, ranges.scale_high, words[0]);
    const double ratio = std::exp(drawn(ranges.log_ratio_low, ranges.log_ratio_high, words[1]));
    const double w = std::rint(std::sqrt(area * ratio)), h = std::rint(std::sqrt(area / ratio));
    if (!(w > 0 && w <= width && h > 0 && h <= height)) continue;
    const auto rows = static_cast<std::int64_t>(h), columns = static_cast<std::int64_t>(w);
    const auto place = [](std::uint32_t word, std::int64_t places) {
      return static_cast<std::int64_t>(std::uint64_t{word} * static_cast<std::uint64_t>(places) >> 32);
    };
    return {place(words[2], H - rows + 1), place(words[3], W - columns + 1), rows, columns};
  }
  // The largest part in the middle that has a ratio allowed.
  CropBox box{0, 0, H, W};
  if (width / height < ranges.ratio_low) box.height = static_cast<std::int64_t>(std::rint(width / ranges.ratio_low));
  if (width / height > ranges.ratio_high) box.width = static_cast<std::int64_t>(std::rint(height * ranges.ratio_high));
  if (box.height < 1) box.height = 1;
  if (box.width < 1) box.width = 1;
  box.top = (H - box.height) / 2;
  box.left = (W - box.width) / 2;
  return box;
}

/// Where output o of `out` along one side lies among `in` inputs: between two of them, by a share of the second.
struct ResizePoint {
  std::int64_t first, second;
  float share;
};

/// From a to b by a share of b.
GPUCNN_HOST_DEVICE inline float between(float a, float b, float share) { return (1 - share) * a + share * b; }

/// (o + 1/2) in / out - 1/2, at least 0, in exact arithmetic.
GPUCNN_HOST_DEVICE inline ResizePoint resize_point(std::int64_t o, std::int64_t out, std::int64_t in) {
  const std::int64_t place = (2 * o + 1) * in - out, whole = place < 0 ? 0 : place / (2 * out);
  const std::int64_t rest = place < 0 ? 0 : place % (2 * out);
  return {whole, whole + 1 < in ? whole + 1 : whole, static_cast<float>(rest) / static_cast<float>(2 * out)};
}

}  // namespace gpucnn::kernels
