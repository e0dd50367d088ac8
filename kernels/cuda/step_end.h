#pragma once

#include <cmath>
#include <limits>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/gpu/step_report.h>
#include <gpucnn/core/gpu/step_state.h>

/// What a captured step does besides computing. In .cu files only.
namespace gpucnn::kernels::cuda {

__device__ inline bool is_finite(float value) { return fabsf(value) <= std::numeric_limits<float>::max(); }

/// Writes reports[state->steps % slots], and sets state->failed if the loss is the first that is not finite. By one thread.
__device__ inline void write_report(float loss, std::int64_t correct, std::int64_t images, std::int64_t ignored, StepState* state,
                                    gpu::StepReport* reports, std::int64_t slots) {
  const std::int64_t number = state->steps + 1;
  if (!is_finite(loss) && state->failed == 0) state->failed = number;
  gpu::StepReport* report = reports + state->steps % slots;
  report->correct = correct;
  report->images = images;
  report->ignored = ignored;
  report->failed = state->failed;
  report->loss = static_cast<double>(loss);
  __threadfence_system();
  *static_cast<volatile std::int64_t*>(&report->number) = number;
}

/// Moves the state on by a step of `images` images, in which the model counted its forward or did not. By one thread.
__device__ inline void advance_state(StepState* state, std::int64_t images, bool counts_forward) {
  if (counts_forward) ++state->random_step;
  ++state->updates;
  ++state->steps;
  state->first += images;
}

}  // namespace gpucnn::kernels::cuda
