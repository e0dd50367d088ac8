#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/step_end.h>
#include <gpucnn/train/captured/step_state_kernels.h>

namespace gpucnn::gpu {
namespace {

constexpr int kThreads = 512;

/// Where the row's largest value is, the first of equals; -1 if it holds a NaN.
__device__ std::int64_t first_largest(const float* row, std::int64_t C) {
  std::int64_t best = 0;
  bool comparable = true;
  for (std::int64_t c = 0; c < C; ++c) {
    comparable = comparable && row[c] == row[c];
    if (row[c] > row[best]) best = c;
  }
  return comparable ? best : -1;
}

// Of `labels` and `probabilities` one is null. For targets that are no classes both are: then C is 0. Only a label is ignored.
// One block: a batch has few rows, and the report must be written once. A thread for each row, where count_correct has a warp: the
// classes are few, and all rows are this block's.
__global__ void __launch_bounds__(kThreads)
    report_kernel(const float* logits, const std::int32_t* labels, const float* probabilities, bool ignores, std::int32_t ignored,
                  std::int64_t N, std::int64_t C, const float* loss, StepState* state, StepReport* reports, std::int64_t slots) {
  std::int64_t count = 0, left_out = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += kThreads) {
    const bool skip = ignores && labels[n] == ignored;
    left_out += skip;
    if (skip || C == 0) continue;
    const std::int64_t best = first_largest(logits + n * C, C);
    count += best >= 0 && best == (labels ? labels[n] : first_largest(probabilities + n * C, C));
  }
  count = kernels::cuda::block_sum<kThreads>(count);
  left_out = kernels::cuda::block_sum<kThreads>(left_out);
  if (threadIdx.x != 0) return;
  kernels::cuda::write_report(*loss, count, N, left_out, state, reports, slots);
}

__global__ void __launch_bounds__(1) advance_kernel(StepState* state, std::int64_t images, bool counts_forward) {
  kernels::cuda::advance_state(state, images, counts_forward);
}

__global__ void __launch_bounds__(kThreads)
    guard_kernel(const StepState* state, std::uint8_t* buffer, std::uint8_t* backup, std::int64_t bytes) {
  const bool runs = state->failed == 0 || state->failed == state->steps + 1;
  const std::uint8_t* from = runs ? buffer : backup;
  std::uint8_t* to = runs ? backup : buffer;
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < bytes; i += stride) to[i] = from[i];
}

__global__ void __launch_bounds__(1) set_state_kernel(StepState* state, StepState now, bool forget_failure) {
  now.failed = forget_failure ? 0 : state->failed;
  *state = now;
}

}  // namespace

void report_step(const Tensor& output, const StepTargets& targets, const Tensor& loss, StepState* state, StepReport* reports,
                 std::int64_t slots, Stream& stream) {
  const auto& [labels, probable, ignored] = targets;
  const bool classes = labels.dtype() == DType::i32;
  const std::int64_t N = labels.dim(0), C = (classes || probable) && output.rank() == 2 ? output.dim(1) : 0;
  launch(stream, "report_step", {1, kThreads}, report_kernel, output.device_data<float>(),
         classes ? labels.device_data<std::int32_t>() : nullptr, probable ? labels.device_data<float>() : nullptr,
         classes && ignored.has_value(), ignored.value_or(0), N, C, loss.device_data<float>(), state, reports, slots);
}

void guard_buffer(const StepState* state, Tensor buffer, Tensor backup, Stream& stream) {
  const auto bytes = static_cast<std::int64_t>(buffer.nbytes());
  launch(stream, "guard_buffer", {(bytes + kThreads - 1) / kThreads, kThreads}, guard_kernel, state,
         reinterpret_cast<std::uint8_t*>(buffer.bytes()), reinterpret_cast<std::uint8_t*>(backup.bytes()), bytes);
}

void advance(StepState* state, std::int64_t images, bool counts_forward, Stream& stream) {
  launch(stream, "advance_step_state", {1, 1}, advance_kernel, state, images, counts_forward);
}

void set_step_state(StepState* state, const StepState& now, bool forget_failure, Stream& stream) {
  launch(stream, "set_step_state", {1, 1}, set_state_kernel, state, now, forget_failure);
}

}  // namespace gpucnn::gpu
