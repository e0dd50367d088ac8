#pragma once

#include <cstdint>

#include <gpucnn/kernels/cuda/block_reduce.h>

/// What blocks of one kernel make of a batch's loss, for another kernel to add. In .cu files only.
namespace gpucnn::kernels::cuda {

/// Of some rows of a batch: the sum of their losses, how many are right, and how many are ignored.
struct LossPart {
  double loss;
  std::int64_t correct, ignored;
};

/// Of all rows.
struct LossTotal {
  float loss;  // the mean over the rows that are not ignored; NaN without one
  std::int64_t correct, ignored;
};

/// In thread 0 the total of a batch of N, in the same order in every kernel; in the others nothing of use. A block of `kThreads`.
template <int kThreads>
__device__ LossTotal total_of(const LossPart* parts, int count, std::int64_t N) {
  double loss = 0;
  std::int64_t correct = 0, ignored = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    loss += parts[i].loss;
    correct += parts[i].correct;
    ignored += parts[i].ignored;
  }
  loss = block_sum<kThreads>(loss);
  correct = block_sum<kThreads>(correct);
  ignored = block_sum<kThreads>(ignored);
  return {static_cast<float>(loss / static_cast<double>(N - ignored)), correct, ignored};
}

}  // namespace gpucnn::kernels::cuda
