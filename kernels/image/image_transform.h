#pragma once

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include <gpucnn/kernels/image/image_batch.h>

namespace gpucnn::kernels {

/// Throws `std::invalid_argument` unless the transform suits images of this many channels.
inline void check_transform(std::string_view op, const ImageTransform& transform, std::int64_t channels) {
  const std::size_t wanted = transform.mean.empty() && transform.std.empty() ? 0 : static_cast<std::size_t>(channels);
  if (transform.mean.size() != wanted || transform.std.size() != wanted) {
    throw std::invalid_argument(fmt::format("{}: images of {} channels, got {} values of mean and {} of std", op, channels,
                                            transform.mean.size(), transform.std.size()));
  }
  for (float mean : transform.mean) {
    if (!std::isfinite(mean)) throw std::invalid_argument(fmt::format("{}: mean must be finite, got {}", op, mean));
  }
  for (float std : transform.std) {
    if (!(std > 0)) throw std::invalid_argument(fmt::format("{}: std must be > 0, got {}", op, std));
    if (!std::isfinite(std)) throw std::invalid_argument(fmt::format("{}: std must be finite, got {}", op, std));
  }
  if (transform.crop_padding < 0) {
    throw std::invalid_argument(fmt::format("{}: crop_padding must be >= 0, got {}", op, transform.crop_padding));
  }
}

}  // namespace gpucnn::kernels
