#include <limits>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/train/step_state_kernels.h>

namespace gpucnn::gpu {
namespace {

constexpr int kThreads = 512;

/// Whether the row's largest value, the first of equals, is at its label; false if it holds a NaN.
__device__ bool is_correct(const float* row, std::int64_t C, std::int32_t label) {
  std::int64_t best = 0;
  bool comparable = true;
  for (std::int64_t c = 0; c < C; ++c) {
    comparable = comparable && row[c] == row[c];
    if (row[c] > row[best]) best = c;
  }
  return comparable && best == label;
}

// One block: a batch has few rows, and the report must be written once. A thread for each row, where count_correct has a warp: the
// classes are few, and all rows are this block's.
__global__ void report_kernel(const float* logits, const std::int32_t* labels, std::int64_t N, std::int64_t C, const float* loss,
                              StepClock* clock, StepReport* reports, std::int64_t slots) {
  std::int64_t count = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += kThreads) count += is_correct(logits + n * C, C, labels[n]);
  count = kernels::cuda::block_sum<kThreads>(count);
  if (threadIdx.x != 0) return;
  const std::int64_t number = clock->steps + 1;
  const bool finite = fabsf(*loss) <= std::numeric_limits<float>::max();
  if (!finite && clock->failed == 0) clock->failed = number;
  StepReport* report = reports + clock->steps % slots;
  report->correct = count;
  report->images = N;
  report->failed = clock->failed;
  report->loss = static_cast<double>(*loss);
  __threadfence_system();
  *static_cast<volatile std::int64_t*>(&report->number) = number;
}

__global__ void tick_kernel(StepClock* clock, std::int64_t images, bool counts_forward) {
  if (counts_forward) ++clock->forwards;
  ++clock->updates;
  ++clock->steps;
  clock->first += images;
}

__global__ void set_clock_kernel(StepClock* clock, StepClock now, bool forget_failure) {
  now.failed = forget_failure ? 0 : clock->failed;
  *clock = now;
}

}  // namespace

void report_step(const Tensor& logits, const Tensor& labels, const Tensor& loss, StepClock* clock, StepReport* reports,
                 std::int64_t slots, Stream& stream) {
  launch(stream, "report_step", {1, kThreads}, report_kernel, logits.device_data<float>(), labels.device_data<std::int32_t>(),
         logits.dim(0), logits.dim(1), loss.device_data<float>(), clock, reports, slots);
}

void tick(StepClock* clock, std::int64_t images, bool counts_forward, Stream& stream) {
  launch(stream, "tick", {1, 1}, tick_kernel, clock, images, counts_forward);
}

void set_clock(StepClock* clock, const StepClock& now, bool forget_failure, Stream& stream) {
  launch(stream, "set_clock", {1, 1}, set_clock_kernel, clock, now, forget_failure);
}

}  // namespace gpucnn::gpu
