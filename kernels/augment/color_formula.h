#pragma once

#include <cstdint>

#include <gpucnn/kernels/augment/color_factors.h>
#include <gpucnn/kernels/common/host_device.h>

/// torchvision's adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue of one pixel, for both devices.
namespace gpucnn::kernels {

/// A grey pixel has only `r`.
struct Color {
  float r, g, b;
};

GPUCNN_HOST_DEVICE inline Color load_color(const float* pixel, std::int64_t C) {
  return C == 1 ? Color{pixel[0], 0, 0} : Color{pixel[0], pixel[1], pixel[2]};
}

GPUCNN_HOST_DEVICE inline void store_color(const Color& color, std::int64_t C, float* pixel) {
  pixel[0] = color.r;
  if (C == 1) return;
  pixel[1] = color.g;
  pixel[2] = color.b;
}

GPUCNN_HOST_DEVICE inline float gray(const Color& color, std::int64_t C) {
  return C == 1 ? color.r : 0.2989F * color.r + 0.587F * color.g + 0.114F * color.b;
}

/// NaN stays NaN.
GPUCNN_HOST_DEVICE inline float clamp_unit(float value) { return value < 0 ? 0.0F : value > 1 ? 1.0F : value; }

/// Between `color` and a grey, or beyond.
GPUCNN_HOST_DEVICE inline Color blend(const Color& color, float other, float factor) {
  const float rest = (1 - factor) * other;
  return {clamp_unit(factor * color.r + rest), clamp_unit(factor * color.g + rest), clamp_unit(factor * color.b + rest)};
}

/// Turns the colour circle by `turn`, in [-1/2, 1/2], through HSV: the hue goes through six sectors, in each of which one channel
/// rises or falls, as in Smith, "Color gamut transform pairs" (SIGGRAPH 1978). A NaN makes the whole pixel NaN.
GPUCNN_HOST_DEVICE inline Color turn_hue(const Color& color, float turn) {
  const float r = color.r, g = color.g, b = color.b, sum = r + g + b;
  if (sum != sum) return {sum, sum, sum};
  const float v = r > g ? (r > b ? r : b) : (g > b ? g : b), smallest = r < g ? (r < b ? r : b) : (g < b ? g : b);
  const float range = v - smallest;
  const float difference = v == r ? g - b : v == g ? b - r : r - g, sector = v == r ? 0.0F : v == g ? 2.0F : 4.0F;
  float h = sector + difference / (range > 0 ? range : 1) + 6 * turn;
  h = h < 0 ? h + 6 : h;
  h = h >= 6 ? h - 6 : h;
  const auto channel = [&](float offset) {
    float k = h + offset;  // how far from where this channel is largest, in sectors
    k = k >= 6 ? k - 6 : k;
    k = k < 4 - k ? k : 4 - k;
    return v - range * clamp_unit(k);
  };
  return {channel(5), channel(3), channel(1)};
}

/// Adjustments number `first` to `last` - 1 of the image's. `mean`: of its grey before the contrast, which alone reads it.
GPUCNN_HOST_DEVICE inline Color adjust(Color color, const ColorFactors& factors, int first, int last, float mean, std::int64_t C) {
  for (int step = first; step < last; ++step) {
    const int a = factors.order[step];
    const float factor = factors.factor[a];
    if (a == kBrightness) color = blend(color, 0, factor);
    if (a == kContrast) color = blend(color, mean, factor);
    if (a == kSaturation) color = blend(color, gray(color, C), factor);
    if (a == kHue) color = turn_hue(color, factor);
  }
  return color;
}

/// The adjustments before the contrast, which needs the mean of what they make; all, if there is no contrast.
GPUCNN_HOST_DEVICE inline int steps_before_contrast(const ColorFactors& factors) {
  int steps = 0;
  while (steps < factors.steps && factors.order[steps] != kContrast) ++steps;
  return steps;
}

}  // namespace gpucnn::kernels
