#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <gpucnn/core/gpu/step_report.h>
#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/distributed/nccl/nccl_communicator.h>
#include <gpucnn/layers/losses/loss.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/train/captured/joined_step_kernels.h>
#include <gpucnn/train/parallel/gradient_buckets.h>

namespace gpucnn {

/// What the ranks of a run tell each other in a training step on their GPUs: what it came to, and the gradients. All of it is
/// queued, and may be captured. Refers to model and loss.
///
/// Sums begin as soon as their numbers are there, and go on beside the backward. A rank's gradient of the mean over its part counts
/// by the part's share of the batch's mean, which NCCL multiplies with: nobody waits for the share before the backward. Only where
/// the backward adds gradients of several ranks up, in a SyncBatchNorm, they must have it before.
class JoinedGpuStep {
 public:
  /// Steps that the GPU may be behind; the same on all ranks, for none may queue a step that another does not.
  static constexpr std::int64_t kMaxQueued = 16;

  /// All ranks make one together.
  JoinedGpuStep(Module& model, const Loss& loss, const Distributed& distributed);
  JoinedGpuStep(const JoinedGpuStep&) = delete;
  JoinedGpuStep& operator=(const JoinedGpuStep&) = delete;

  /// Where the kernels that report a step put the part's report, with one slot.
  StepState* own_state() const noexcept { return reinterpret_cast<StepState*>(own_state_.bytes()); }
  gpu::StepReport* own_report() const noexcept { return reinterpret_cast<gpu::StepReport*>(own_report_.bytes()); }

  /// Begins to add up what the step came to, behind the part's report. `weight`: of the part's mean; none: its images that are not
  /// ignored. A part that has no images takes one of another's instead, and `counts` is false: then neither loss nor gradient
  /// counts.
  void start(bool counts, std::optional<double> weight);
  /// Whether the gradient of the output must be there before the backward, which multiplies it by the share.
  bool shares_before() const;
  /// Runs the backward, and adds its gradients up meanwhile. What is queued behind it finds the sums. May overwrite `gradient`.
  void backward(Tensor gradient);
  /// Reports the batch, and notes in the state if its loss is not finite.
  void report(StepState* state, gpu::StepReport* reports, std::int64_t slots);

 private:
  gpu::JoinedSums* sums() const noexcept { return reinterpret_cast<gpu::JoinedSums*>(sums_.bytes()); }

  Module& model_;
  const Loss& loss_;
  std::shared_ptr<NcclCommunicator> ranks_;
  Stream stream_;
  mutable Tensor own_state_, own_report_, sums_;  // bytes in device memory
  nccl::Operation sum_of_shares_{};
  bool shared_before_ = false;  // in the backward under way
  GradientBuckets buckets_;
};

}  // namespace gpucnn
