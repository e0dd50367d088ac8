#pragma once

#include <cstdint>

namespace gpucnn {

/// Groups of parameters whose numbers a StepState holds.
inline constexpr int kMaxStepStateGroups = 8;

/// What changes from one replay of a captured step to the next. It lies in device memory, because the arguments of captured kernels
/// are fixed. The step's last kernel advances it.
struct StepState {
  std::uint64_t random_step = 0;  ///< Module::random_step before this step: the step of dropout's stream
  std::uint64_t epoch = 0;        ///< the step of the crop and flip streams
  std::int64_t first = 0;         ///< images of the epoch before this batch
  std::int64_t updates = 0;       ///< optimizer steps since the capture: add to the step number that was captured
  std::int64_t failed = 0;        ///< the step, from 1, whose loss was not finite; from then on optimizers write nothing. 0: none
  std::int64_t steps = 0;         ///< training steps before this one
  std::uint32_t arrived = 0;      ///< blocks of the step's last kernel that have read this; 0 between steps
  double lr[kMaxStepStateGroups]{};        ///< the learning rate of each group of parameters
  double momentum[kMaxStepStateGroups]{};  ///< its momentum, or Adam's beta1
};

}  // namespace gpucnn
