#pragma once

#include <cstdint>

namespace gpucnn::gpu {

/// What a step came to. Lies in memory that host and device share; `number` is written last.
struct StepReport {
  std::int64_t number = 0;  ///< of the step, from 1
  std::int64_t correct = 0;
  std::int64_t images = 0;
  std::int64_t ignored = 0;  ///< images among them with the label that the loss ignores
  std::int64_t failed = 0;   ///< StepState::failed
  double loss = 0;
};

}  // namespace gpucnn::gpu
