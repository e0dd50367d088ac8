#include <gpucnn/train/captured/step_reports.h>

#include <algorithm>
#include <atomic>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {

StepReports::StepReports(Device device) : device_(device) {
  void* host = nullptr;
  void* mapped = nullptr;
  const gpu::StreamInUse current = gpu::queue(device).stream();  // only the current GPU may write to this memory
  gpu::check(cudaHostAlloc(&host, kMaxQueued * sizeof(gpu::StepReport), cudaHostAllocMapped), "cudaHostAlloc");
  reports_.reset(static_cast<gpu::StepReport*>(host));
  std::uninitialized_fill_n(reports_.get(), kMaxQueued, gpu::StepReport{});
  gpu::check(cudaHostGetDevicePointer(&mapped, host, 0), "cudaHostGetDevicePointer");
  on_device_ = static_cast<gpu::StepReport*>(mapped);
}

StepReports::~StepReports() {
  try {
    cudaStreamSynchronize(gpu::queue(device_).stream());
  } catch (const Error&) {  // the GPU is gone, and nobody writes
  }
}

bool StepReports::has_arrived(std::int64_t steps) noexcept {
  return std::atomic_ref(of(steps).number).load(std::memory_order_acquire) == steps + 1;
}

void StepReports::forget() noexcept { std::fill_n(reports_.get(), kMaxQueued, gpu::StepReport{}); }

Metrics StepReports::metrics(const gpu::StepReport& report, bool is_sum) {
  const FloatEnvironment standard;
  const double weight = is_sum ? 1 : static_cast<double>(report.images - report.ignored);
  return {report.loss * weight, report.correct, report.images, report.ignored};
}

}  // namespace gpucnn
