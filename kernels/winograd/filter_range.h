#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// The magnitudes of a convolution's weights. A filter is all weights of one output channel.
struct FilterRange {
  float largest = 0;  // of all weights; infinite or NaN if one is
  bool even = true;   // whether Winograd is good for all filters
};

/// Winograd adds up a filter's taps before it multiplies. So its errors are relative to the largest tap, whatever an output reads.
/// It is good for filters whose largest weight is at most about 10^4 times the geometric mean of those that are not 0, as training
/// makes them. It spoils outputs that read only weights far below that mean. Each filter is judged alone. weight: [K][taps][C].
/// `exchanged`: the outputs are C, as in a gradient of x.
FilterRange filter_range(const float* weight, std::int64_t K, std::int64_t taps, std::int64_t C, bool exchanged);

}  // namespace gpucnn::kernels::cpu
