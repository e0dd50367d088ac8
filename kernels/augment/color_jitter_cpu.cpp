#include <algorithm>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/augment/color_formula.h>
#include <gpucnn/kernels/augment/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kGrain = 4096;  // pixels a task: some tens of microseconds

/// `kChannels`: 1 or 3.
template <std::int64_t kChannels>
void jitter_image(float* image, std::int64_t pixels, const ColorFactors& factors) {
  const int before = steps_before_contrast(factors);
  const bool contrast = before < factors.steps;
  double sum = 0;
  for (float* pixel = image; pixel != image + pixels * kChannels; pixel += kChannels) {
    const Color color = adjust(load_color(pixel, kChannels), factors, 0, before, 0, kChannels);
    if (contrast) sum += static_cast<double>(gray(color, kChannels));
    if (before > 0) store_color(color, kChannels, pixel);
  }
  if (!contrast) return;
  const auto mean = static_cast<float>(sum / static_cast<double>(pixels));
  for (float* pixel = image; pixel != image + pixels * kChannels; pixel += kChannels) {
    store_color(adjust(load_color(pixel, kChannels), factors, before, factors.steps, mean, kChannels), kChannels, pixel);
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
