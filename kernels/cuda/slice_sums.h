#pragma once

#include <cstdint>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cuda {

/// Sums over many images are computed in slices, each of which has a row of sums: those of a weight's gradient, and behind them
/// those of the bias's.
struct SliceSums {
  std::int64_t weights, all;  // elements of the first, and of a row
};

/// The fewest slices of `whole` parts of the work: none has more than `max_parts`, from where on f32 sums become inexact, unless
/// the slices would take more than 64 MiB.
std::int64_t min_slices(std::int64_t whole, std::int64_t max_parts, const SliceSums& count);

/// A gradient, f32, that is written, or added to.
struct Target {
  Tensor& gradient;
  bool accumulate;
};

/// What the slices of `sums`, f32 [slices, count.all], add up to, in their order. The bias's gradient is undefined if count.all is
/// count.weights. `may_wait`: nobody reads these gradients before the optimizer. A StepTail that is open then adds them.
void add_slices(const Tensor& sums, const SliceSums& count, Target dweight, Target dbias, bool may_wait, Stream& stream);

}  // namespace gpucnn::kernels::cuda
