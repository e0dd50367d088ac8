#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/gpu/step_report.h>
#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

/// The kernels of a step that the GPUs of several ranks make together. Pointers are the device's.
namespace gpucnn::gpu {

/// What a part of a batch came to, as numbers that add up over the parts to those of the batch. All are doubles, for one reduction.
struct StepSums {
  double loss;    // a mean times its weight
  double weight;  // what the mean divides by
  double correct, images, ignored;
};
inline constexpr std::size_t kStepSums = sizeof(StepSums) / sizeof(double);

/// Of one rank's part, and of the batch: `all` begins as `own`, and is then reduced.
struct JoinedSums {
  StepSums own, all;
  float share;  // of the part in the batch's mean
};

/// sums->own and ->all are what `report` says of the part; null: it has no images. `is_sum`: Loss::is_sum. `weight`: of the mean;
/// none: the images that are not ignored.
void sum_step(const StepReport* report, bool is_sum, std::optional<double> weight, JoinedSums* sums, Stream& stream);

/// sums->share, when ->all is reduced.
void share_step(JoinedSums* sums, bool is_sum, Stream& stream);

/// gradient, f32, *= sums->share.
void scale_by_share(Tensor& gradient, const JoinedSums* sums, Stream& stream);

/// Writes reports[state->steps % slots] of the batch, and sets state->failed if its loss is the first that is not finite.
void report_sums(const JoinedSums* sums, bool is_sum, StepState* state, StepReport* reports, std::int64_t slots, Stream& stream);

}  // namespace gpucnn::gpu
