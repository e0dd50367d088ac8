#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/gpu/step_report.h>
#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

/// The kernels of a captured step that belong to no layer. Pointers are the device's.
namespace gpucnn::gpu {

/// What a step's output is judged by.
struct StepTargets {
  const Tensor& labels;                 ///< i32 [N], or f32 [N, …]
  bool probable;                        ///< whether f32 targets are probabilities of classes, [N, C]
  std::optional<std::int32_t> ignored;  ///< a label that counts as such and as nothing else
};

/// Counts the rows of the output, f32 [N, C], that are largest at their label or their largest probability, as
/// kernels::count_correct does. An output of another rank counts none, nor do f32 targets that are no probabilities. Sets
/// state->failed if the loss, f32 [], is the first that is not finite. Writes reports[state->steps % slots].
void report_step(const Tensor& output, const StepTargets& targets, const Tensor& loss, StepState* state, StepReport* reports,
                 std::int64_t slots, Stream& stream);

/// Moves the state on by a step of `images` images, in which the model counted its forward or did not.
void advance(StepState* state, std::int64_t images, bool counts_forward, Stream& stream);

/// Behind a step. If no step before this one failed, backup = buffer; otherwise buffer = backup, for this step should not have
/// been. Both have the same bytes.
void guard_buffer(const StepState* state, Tensor buffer, Tensor backup, Stream& stream);

/// Sets the state to `now`, and keeps `failed` unless it is to be forgotten.
void set_step_state(StepState* state, const StepState& now, bool forget_failure, Stream& stream);

}  // namespace gpucnn::gpu
