#pragma once

#include <nvtx3/nvToolsExt.h>

namespace gpucnn::gpu {

/// A named range in a profiler's timeline (NVTX), if a profiler listens.
class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

}  // namespace gpucnn::gpu
