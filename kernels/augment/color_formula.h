#pragma once

#include <cmath>
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

/// Turns the colour circle by `turn`, through HSV as Pillow's Convert.c defines it.
GPUCNN_HOST_DEVICE inline Color turn_hue(const Color& color, float turn) {
  const float r = color.r, g = color.g, b = color.b;
  const float largest = r > g ? (r > b ? r : b) : (g > b ? g : b), smallest = r < g ? (r < b ? r : b) : (g < b ? g : b);
  const float range = largest - smallest, v = largest;
  if (!(range != 0)) return color;  // grey has no hue
  const float s = range / largest, rc = (largest - r) / range, gc = (largest - g) / range, bc = (largest - b) / range;
  float h = largest == r ? bc - gc : largest == g ? 2 + rc - bc : 4 + gc - rc;
  h = h * (1.0F / 6) + 1;
  h -= std::floor(h);
  h += turn;
  h -= std::floor(h);
  const float h6 = 6 * h, sector = std::floor(h6), f = h6 - sector;
  const float p = clamp_unit((1 - s) * v), q = clamp_unit((1 - s * f) * v), t = clamp_unit((s * f + (1 - s)) * v);
  if (sector == 1) return {q, v, p};
  if (sector == 2) return {p, v, t};
  if (sector == 3) return {p, q, v};
  if (sector == 4) return {t, p, v};
  if (sector == 5) return {v, p, q};
  return {v, t, p};  // 0, and 6 where the sum was rounded up to a whole turn
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
