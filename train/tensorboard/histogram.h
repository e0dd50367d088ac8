#pragma once

#include <span>
#include <vector>

namespace gpucnn::tensorboard {

/// How often numbers lie in buckets that grow by a tenth from one to the next, as PyTorch's `add_histogram` counts them by default.
struct Histogram {
  double min = 0, max = 0, count = 0, sum = 0, sum_of_squares = 0;
  /// Bucket i has counts[i] numbers, from limits[i - 1] to below limits[i]. The first is empty, and gives the second its lower
  /// limit.
  std::vector<double> limits, counts;
};

/// Numbers that are not finite are left out; without others the histogram has no bucket.
Histogram histogram_of(std::span<const float> values);

}  // namespace gpucnn::tensorboard
