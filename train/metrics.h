#pragma once

#include <cstdint>

namespace gpucnn {

/// What was seen over some images: sums, so that batches of different sizes add up to the mean over images.
struct Metrics {
  double loss_sum = 0;       ///< of the images' losses
  std::int64_t correct = 0;  ///< images whose largest logit was at their label
  std::int64_t images = 0;

  double loss() const noexcept { return images ? loss_sum / static_cast<double>(images) : 0.0; }
  /// A fraction of 1.
  double accuracy() const noexcept { return images ? static_cast<double>(correct) / static_cast<double>(images) : 0.0; }

  Metrics& operator+=(const Metrics& more) noexcept {
    loss_sum += more.loss_sum;
    correct += more.correct;
    images += more.images;
    return *this;
  }
};

}  // namespace gpucnn
