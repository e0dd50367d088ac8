#pragma once

#include <cmath>
#include <cstdint>

#include <gpucnn/kernels/common/host_device.h>
#include <gpucnn/kernels/norm/normalize.h>

/// The formulas of statistics, for both twins.
namespace gpucnn::kernels {

/// Column `i` of `statistics`, of `columns`.
GPUCNN_HOST_DEVICE inline void put_statistics(double mean, double variance, double eps, std::int64_t columns, std::int64_t i,
                                              float* statistics) {
  const auto rounded = static_cast<float>(mean);
  statistics[kMean * columns + i] = rounded;
  statistics[kMeanRest * columns + i] = static_cast<float>(mean - static_cast<double>(rounded));
  statistics[kRstd * columns + i] = static_cast<float>(1 / std::sqrt(variance + eps));
  statistics[kVariance * columns + i] = static_cast<float>(variance);
}

/// What makes the unbiased variance of the biased one, which is 0 where there is one value.
GPUCNN_HOST_DEVICE inline double unbiased_factor(std::int64_t values) {
  return values > 1 ? static_cast<double>(values) / static_cast<double>(values - 1) : 1;
}

/// From what a channel's differences are taken: c's center, 0 where that is not finite, for nothing could be told apart from it.
/// `centers`: null for 0.
GPUCNN_HOST_DEVICE inline double center_at(const float* centers, std::int64_t c) {
  const double center = centers ? static_cast<double>(centers[c]) : 0;
  return center - center == 0 ? center : 0;
}

/// See `part_sums`: of channel c, from the part's own statistics [4, C].
GPUCNN_HOST_DEVICE inline void put_part_sums(const float* own, std::int64_t values, const float* centers, std::int64_t C,
                                             std::int64_t c, double* sums) {
  if (c == 0) sums[0] = static_cast<double>(values);
  double apart = 0, squares = 0;
  if (values > 0) {
    apart = static_cast<double>(own[kMean * C + c]) + static_cast<double>(own[kMeanRest * C + c]) - center_at(centers, c);
    squares = static_cast<double>(own[kVariance * C + c]) + apart * apart;
  }
  sums[1 + c] = static_cast<double>(values) * apart;
  sums[1 + C + c] = static_cast<double>(values) * squares;
}

/// See `whole_statistics`: of channel c. Needs values.
GPUCNN_HOST_DEVICE inline void put_whole_statistics(const double* sums, const float* centers, double eps, std::int64_t C,
                                                    std::int64_t c, float* statistics) {
  const double apart = sums[1 + c] / sums[0], variance = sums[1 + C + c] / sums[0] - apart * apart;
  put_statistics(center_at(centers, c) + apart, variance < 0 ? 0 : variance, eps, C, c, statistics);  // a NaN stays
}

}  // namespace gpucnn::kernels
