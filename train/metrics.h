#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// What was seen over some images: sums, so that batches of different sizes add up to the mean over the images that are not
/// ignored. A loss that is a mean is multiplied by their number, one that is a sum stays as it is.
struct GPUCNN_API Metrics {
  double loss_sum = 0;       ///< of the images' losses
  std::int64_t correct = 0;  ///< images whose largest logit was at their label, or their largest probability
  std::int64_t images = 0;
  std::int64_t ignored = 0;  ///< images among them with the label that the loss ignores: neither right nor wrong, without loss

  /// For an image that is not ignored; 0 over none, as accuracy is.
  double loss() const noexcept;
  /// A fraction of 1.
  double accuracy() const noexcept;

  Metrics& operator+=(const Metrics& more) noexcept;
};

}  // namespace gpucnn
