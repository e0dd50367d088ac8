#pragma once

#include <cstdint>
#include <limits>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn::kernels::cpu {

/// Calls `update(first, last)` for ranges of [0, count), each of about `grain` elements, on all threads. Subnormals are flushed
/// meanwhile unless `threshold`, as `for_flushed_lanes` takes it, is infinite.
template <class Update>
void parallel_update(std::int64_t count, std::int64_t grain, float threshold, const Update& update) {
  parallel_ranges(count, grain, [&update, threshold](std::int64_t first, std::int64_t last) {
    if (threshold < std::numeric_limits<float>::infinity()) {
      const FlushSubnormals flush;
      update(first, last);
    } else {
      update(first, last);
    }
  });
}

}  // namespace gpucnn::kernels::cpu
