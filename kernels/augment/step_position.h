#pragma once

#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/kernels/augment/batch_position.h>

/// In .cu files only.
namespace gpucnn::kernels::cuda {

/// `position`, or what the state of a captured step makes of it.
__device__ inline BatchPosition at_step(BatchPosition position, const StepState* state) {
  if (state) {
    position.epoch = state->epoch;
    position.first = state->first;
  }
  return position;
}

}  // namespace gpucnn::kernels::cuda
