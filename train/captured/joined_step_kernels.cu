#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/step_end.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/train/captured/joined_step_kernels.h>

namespace gpucnn::gpu {
namespace {

using kernels::cuda::kThreads;

// Those of one thread have five numbers to move.

/// `weight`: negative for the images that are not ignored.
__global__ void __launch_bounds__(1) sum_kernel(const StepReport* report, bool is_sum, double weight, JoinedSums* sums) {
  StepSums own{};
  if (report) {
    own.correct = static_cast<double>(report->correct);
    own.images = static_cast<double>(report->images);
    own.ignored = static_cast<double>(report->ignored);
    own.weight = weight < 0 ? own.images - own.ignored : weight;
    // The mean over no image is NaN, and adds nothing to the batch's.
    own.loss = is_sum ? report->loss : own.weight == 0 ? 0.0 : report->loss * own.weight;
  }
  sums->own = own;
  sums->all = own;
}

__global__ void __launch_bounds__(1) share_kernel(JoinedSums* sums, bool is_sum) {
  sums->share = is_sum ? 1.0F : static_cast<float>(sums->own.weight / sums->all.weight);
}

__global__ void __launch_bounds__(kThreads) scale_kernel(float* gradient, std::int64_t count, const JoinedSums* sums) {
  const float share = sums->share;
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) gradient[i] *= share;
}

__global__ void __launch_bounds__(1)
    report_kernel(const JoinedSums* sums, bool is_sum, StepState* state, StepReport* reports, std::int64_t slots) {
  const StepSums& all = sums->all;
  const auto loss = static_cast<float>(is_sum ? all.loss : all.loss / all.weight);
  kernels::cuda::write_report(loss, static_cast<std::int64_t>(all.correct), static_cast<std::int64_t>(all.images),
                              static_cast<std::int64_t>(all.ignored), state, reports, slots);
}

}  // namespace

void sum_step(const StepReport* report, bool is_sum, std::optional<double> weight, JoinedSums* sums, Stream& stream) {
  launch(stream, "sum_step", {1, 1}, sum_kernel, report, is_sum, weight.value_or(-1), sums);
}

void share_step(JoinedSums* sums, bool is_sum, Stream& stream) { launch(stream, "share_step", {1, 1}, share_kernel, sums, is_sum); }

void scale_by_share(Tensor& gradient, const JoinedSums* sums, Stream& stream) {
  launch(stream, "scale_by_share", kernels::cuda::grid(stream, gradient.numel()), scale_kernel, gradient.device_data<float>(),
         gradient.numel(), sums);
}

void report_sums(const JoinedSums* sums, bool is_sum, StepState* state, StepReport* reports, std::int64_t slots, Stream& stream) {
  launch(stream, "report_sums", {1, 1}, report_kernel, sums, is_sum, state, reports, slots);
}

}  // namespace gpucnn::gpu
