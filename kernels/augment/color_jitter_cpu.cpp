#include <algorithm>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/augment/color_formula.h>
#include <gpucnn/kernels/augment/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kGrain = 4096;  // pixels a task: some tens of microseconds

/// `blend` of every value with the same grey.
void blend_all(float* values, std::int64_t count, float other, float factor) {
  const float rest = (1 - factor) * other;
  for (std::int64_t i = 0; i < count; ++i) values[i] = clamp_unit(factor * values[i] + rest);
}

template <std::int64_t kChannels>
float mean_gray(const float* image, std::int64_t pixels) {
  double sum = 0;
  for (std::int64_t p = 0; p < pixels; ++p)
    sum += static_cast<double>(gray(load_color(image + p * kChannels, kChannels), kChannels));
  return static_cast<float>(sum / static_cast<double>(pixels));
}

template <class Change>
void change_colors(float* image, std::int64_t pixels, const Change& change) {
  for (float* pixel = image; pixel != image + 3 * pixels; pixel += 3) store_color(change(load_color(pixel, 3)), 3, pixel);
}

/// One adjustment after the other over the whole image, which a cache holds. `kChannels`: 1 or 3.
template <std::int64_t kChannels>
void jitter_image(float* image, std::int64_t pixels, const ColorFactors& factors) {
  for (int step = 0; step < factors.steps; ++step) {
    const int a = factors.order[step];
    const float factor = factors.factor[a];
    if (a == kBrightness) blend_all(image, pixels * kChannels, 0, factor);
    if (a == kContrast) blend_all(image, pixels * kChannels, mean_gray<kChannels>(image, pixels), factor);
    if (a == kSaturation) change_colors(image, pixels, [=](const Color& color) { return blend(color, gray(color, 3), factor); });
    if (a == kHue) change_colors(image, pixels, [=](const Color& color) { return turn_hue(color, factor); });
  }
}

}  // namespace

void cpu::color_jitter(Tensor& images, const ColorJitterOptions& options, const BatchPosition& position, Stream&) {
  if (images.numel() == 0) return;
  const std::int64_t C = images.dim(1), pixels = images.dim(2) * images.dim(3);
  const ColorRanges ranges = color_ranges(options, C);
  float* all = images.data<float>();
  parallel_ranges(images.dim(0), std::max<std::int64_t>(1, kGrain / pixels), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const ColorFactors factors = color_factors(ranges, position, image_position(position, i));
      float* image = all + i * pixels * C;
      C == 1 ? jitter_image<1>(image, pixels, factors) : jitter_image<3>(image, pixels, factors);
    }
  });
}

}  // namespace gpucnn::kernels
