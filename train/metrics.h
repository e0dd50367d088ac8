#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// What was seen over some images: sums, so that batches of different sizes add up to the mean over images.
struct GPUCNN_API Metrics {
  double loss_sum = 0;       ///< of the images' losses
  std::int64_t correct = 0;  ///< images whose largest logit was at their label
  std::int64_t images = 0;

  /// 0 over no images, as accuracy is.
  double loss() const noexcept;
  /// A fraction of 1.
  double accuracy() const noexcept;

  Metrics& operator+=(const Metrics& more) noexcept;
};

}  // namespace gpucnn
