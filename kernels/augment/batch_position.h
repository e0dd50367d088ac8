#pragma once

#include <cstdint>

namespace gpucnn::kernels {

/// Where a batch stands in training. Its random numbers depend on this alone, so that every device, batch size and number of
/// threads draws the same. While a step is captured on a GPU, StepState replaces `epoch` and `first`.
struct BatchPosition {
  std::uint64_t seed = 0;   ///< of the streams
  std::uint64_t epoch = 0;  ///< their step
  std::int64_t first = 0;   ///< images of the epoch before the batch's first
};

}  // namespace gpucnn::kernels
