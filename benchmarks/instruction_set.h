#pragma once

#include <hwy/targets.h>

#include <stdexcept>
#include <string>

namespace gpucnn {

/// Has Highway's kernels run with the instruction set that Highway calls `name` (AVX2, SSE4, …), until the process ends. Throws
/// `std::invalid_argument` where it was not compiled in or this processor lacks it.
inline void force_instruction_set(const std::string& name) {
  std::string all;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      return;
    }
    all += std::string(all.empty() ? "" : ", ") + hwy::TargetName(target);
  }
  throw std::invalid_argument("--instruction-set: '" + name + "' is none that this build and this processor have; they have " +
                              all);
}

}  // namespace gpucnn
