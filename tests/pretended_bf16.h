#pragma once

#include <gpucnn/core/host/bf16_instructions.h>

namespace gpucnn {

/// While one lives, the processor has instructions for bf16, or none, whatever it is. The CPU's kernels need none.
class PretendedBf16 {
 public:
  explicit PretendedBf16(bool there = true) { pretend_bf16_instructions(there); }
  ~PretendedBf16() { pretend_bf16_instructions({}); }
  PretendedBf16(const PretendedBf16&) = delete;
  PretendedBf16& operator=(const PretendedBf16&) = delete;
};

}  // namespace gpucnn
