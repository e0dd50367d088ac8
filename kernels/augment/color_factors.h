#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/augment/augment_stream.h>
#include <gpucnn/kernels/augment/color_jitter_options.h>
#include <gpucnn/kernels/common/host_device.h>

/// What colour jitter draws for an image, for both devices.
namespace gpucnn::kernels {

/// The four adjustments, with torchvision's numbers.
inline constexpr int kBrightness = 0, kContrast = 1, kSaturation = 2, kHue = 3, kAdjustments = 4;

/// Where the factors are drawn from.
struct ColorRanges {
  double low[kAdjustments], high[kAdjustments];
  bool used[kAdjustments];
};

/// Grey images (C = 1) have neither saturation nor hue.
inline ColorRanges color_ranges(const ColorJitterOptions& options, std::int64_t C) {
  const double values[kAdjustments] = {options.brightness, options.contrast, options.saturation, options.hue};
  ColorRanges ranges{};
  for (int a = 0; a < kAdjustments; ++a) {
    ranges.low[a] = a == kHue ? -values[a] : std::max(0.0, 1 - values[a]);
    ranges.high[a] = a == kHue ? values[a] : 1 + values[a];
    ranges.used[a] = values[a] != 0 && (C == 3 || a == kBrightness || a == kContrast);
  }
  return ranges;
}

struct ColorFactors {
  float factor[kAdjustments];
  int order[kAdjustments];  // which comes first, second, …
  int steps;                // how many of `order` are made: those that are used
};

/// For the image at this position of the epoch: see color_jitter.h.
GPUCNN_HOST_DEVICE inline ColorFactors color_factors(const ColorRanges& ranges, const BatchPosition& batch,
                                                     std::uint64_t position) {
  const RandomStream random = augment_stream(batch, Augmentation::color_jitter);
  ColorFactors factors{};
  int order[kAdjustments];
  for (int a = 0; a < kAdjustments; ++a) {
    const auto uniform = static_cast<double>(random.uniform(8 * position + static_cast<std::uint64_t>(a)));
    factors.factor[a] = static_cast<float>(ranges.low[a] + (ranges.high[a] - ranges.low[a]) * uniform);
    order[a] = a;
  }
  std::uint32_t rest = random.below(8 * position + kAdjustments, 24);
  for (int a = kAdjustments - 1; a > 0; --a) {
    const auto other = static_cast<int>(rest % static_cast<std::uint32_t>(a + 1));
    rest /= static_cast<std::uint32_t>(a + 1);
    const int here = order[a];
    order[a] = order[other];
    order[other] = here;
  }
  for (int a = 0; a < kAdjustments; ++a) {
    if (ranges.used[order[a]]) factors.order[factors.steps++] = order[a];
  }
  return factors;
}

}  // namespace gpucnn::kernels
