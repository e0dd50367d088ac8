#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/augment/color_jitter_options.h>
#include <gpucnn/kernels/augment/mix_options.h>
#include <gpucnn/kernels/common/check.h>

/// Checks of the augmentations' options: each throws `std::invalid_argument` that begins with the operation's name. NaN passes
/// none.
namespace gpucnn::kernels {

/// For images of C channels.
inline void check_color_jitter(std::string_view op, const ColorJitterOptions& options, std::int64_t C) {
  const auto check = [&](std::string_view name, double value) {
    check_value(op, name, value, value >= 0 && std::isfinite(value), "finite and >= 0");
  };
  check("brightness", options.brightness);
  check("contrast", options.contrast);
  check("saturation", options.saturation);
  check_value(op, "hue", options.hue, options.hue >= 0 && options.hue <= 0.5, "in [0, 0.5]");
  if (options.any() && C != 1 && C != 3) {
    throw std::invalid_argument(formatted("{}: colours can be changed in images of 1 or 3 channels, got {}", op, C));
  }
}

/// For images of H by W.
inline void check_cutout(std::string_view op, int size, std::int64_t H, std::int64_t W) {
  check_value(op, "cutout", size, size >= 0, ">= 0");
  if (size > H || size > W) {
    throw std::invalid_argument(formatted("{}: cutout of {} is larger than the images, {} by {}", op, size, H, W));
  }
}

inline void check_mix(std::string_view op, const MixOptions& options) {
  const auto check = [&](std::string_view name, double value) {
    check_value(op, name, value, value >= 0 && std::isfinite(value), "finite and >= 0");
  };
  check("mixup_alpha", options.mixup_alpha);
  check("cutmix_alpha", options.cutmix_alpha);
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  const bool good = options.num_classes >= 0 && options.num_classes <= kMax && (options.num_classes > 0 || !options.any());
  check_value(op, "num_classes", options.num_classes, good, "from 1 to 2^31 - 1 for mixup and cutmix");
}

}  // namespace gpucnn::kernels
