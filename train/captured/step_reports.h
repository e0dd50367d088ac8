#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include <gpucnn/core/device.h>
#include <gpucnn/train/captured/step_state_kernels.h>
#include <gpucnn/train/metrics.h>

namespace gpucnn {

/// The metrics that captured steps report: a ring in pinned host memory, which the GPU writes and the host reads without waiting.
class StepReports {
 public:
  /// Steps that the GPU may be behind.
  static constexpr std::int64_t kMaxQueued = 64;

  explicit StepReports(Device device);
  /// Waits for the GPU, which may still write.
  ~StepReports();
  StepReports(const StepReports&) = delete;
  StepReports& operator=(const StepReports&) = delete;

  /// Where the GPU writes.
  gpu::StepReport* on_device() const noexcept { return on_device_; }
  /// The report of the step before which there were `steps`.
  gpu::StepReport& of(std::int64_t steps) noexcept { return reports_[static_cast<std::size_t>(steps % kMaxQueued)]; }
  /// Whether that step has reported.
  bool has_arrived(std::int64_t steps) noexcept;
  /// None has reported, once the GPU writes no more: other steps will have the same numbers.
  void forget() noexcept;

  /// `is_sum`: Loss::is_sum.
  static Metrics metrics(const gpu::StepReport& report, bool is_sum);

 private:
  struct Free {
    void operator()(gpu::StepReport* reports) const noexcept { cudaFreeHost(reports); }
  };
  Device device_;
  std::unique_ptr<gpu::StepReport[], Free> reports_;
  gpu::StepReport* on_device_ = nullptr;
};

}  // namespace gpucnn
