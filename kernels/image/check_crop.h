#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/image/random_resized_crop_options.h>

/// Checks of the options of crops and flips: each throws `std::invalid_argument` that begins with the operation's name. NaN passes
/// none.
namespace gpucnn::kernels {

/// For images of H by W.
inline void check_random_resized_crop(std::string_view op, const RandomResizedCropOptions& options, std::int64_t H,
                                      std::int64_t W) {
  const auto [size, scale, ratio] = options;
  if (size.height < 0 || size.width < 0) {
    throw std::invalid_argument(
        formatted("{}: the size of random_resized_crop must be >= 0, got {} by {}", op, size.height, size.width));
  }
  if (!(scale.first > 0 && scale.first <= scale.second && scale.second <= 1)) {
    throw std::invalid_argument(formatted("{}: the scale of random_resized_crop must lie in (0, 1] and not fall, got {} to {}", op,
                                          scale.first, scale.second));
  }
  if (!(ratio.first > 0 && ratio.first <= ratio.second && std::isfinite(ratio.second))) {
    throw std::invalid_argument(formatted("{}: the ratio of random_resized_crop must be finite, > 0 and not fall, got {} to {}", op,
                                          ratio.first, ratio.second));
  }
  if (H < 1 || W < 1)
    throw std::invalid_argument(formatted("{}: random_resized_crop needs pixels, got images of {} by {}", op, H, W));
}

/// That only one thing is asked for where there are two.
inline void check_one_way(std::string_view op, bool random_resized_crop, int crop_padding, bool flip, bool alternating_flip) {
  if (random_resized_crop && crop_padding > 0) {
    throw std::invalid_argument(formatted("{}: takes random_resized_crop or crop_padding, got both", op));
  }
  if (flip && alternating_flip) throw std::invalid_argument(formatted("{}: takes flip or alternating_flip, got both", op));
}

}  // namespace gpucnn::kernels
