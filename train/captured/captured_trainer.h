#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gpucnn/kernels/cuda/step_tail.h>
#include <gpucnn/train/captured/captured_step.h>
#include <gpucnn/train/captured/gpu_batches.h>
#include <gpucnn/train/captured/joined_gpu_step.h>
#include <gpucnn/train/captured/step_reports.h>
#include <gpucnn/train/captured/step_state_mirror.h>
#include <gpucnn/train/parameter_update.h>
#include <gpucnn/train/trainer_impl.h>

namespace gpucnn {

/// Training steps on a GPU. The first step of each batch size runs call by call, so that every plan is made. The second is recorded
/// as a CUDA graph, and replayed from then on. What differs between replays lies in a StepState in device memory. Each step writes
/// its metrics into a ring that the host reads without waiting. Where several ranks train, each on a part of every batch, `images`
/// are the batch's, and reports are of all ranks.
class CapturedTrainer final : public Trainer::Impl {
 public:
  CapturedTrainer(Module& model, Optimizer& optimizer, Loss& loss, std::unique_ptr<GpuBatches> batches, const StepOptions& options);

  void start_epoch(std::int64_t batch) override;
  std::int64_t step(std::int64_t at_most) override;
  Metrics take() override;
  Metrics finish() override;
  std::int64_t steps() const noexcept override { return begun_; }

 private:
  void prepare_epoch();
  /// The step after `first` images of the epoch.
  void take_step(std::int64_t first);
  /// kStepsAtOnce steps of whole batches after `first` images, by one launch. False, and nothing is done, if they cannot be.
  bool take_steps(std::int64_t first);
  void wait_for_room(std::int64_t steps);
  /// `at_once`: how many steps a launch of it makes.
  CapturedStep& step_of(std::int64_t images, std::int64_t at_once = 1);
  /// That step, if it can be launched.
  CapturedStep* recorded(std::int64_t images, std::int64_t at_once);
  void run(std::int64_t images, std::int64_t first);
  /// False if this step cannot be recorded.
  bool capture(CapturedStep& step);
  void record(std::int64_t images);
  void launch(const CapturedStep& step, const StepState& now);

  /// A step's output, judged: the gradient of the output, and what to report if `evaluate` has not queued it.
  struct Judged {
    Tensor gradient;
    std::optional<kernels::cuda::StepTail::Report> report;
    std::optional<double> weight;  // see Loss::weight_of; only where there are other ranks
  };
  Judged forward(std::int64_t images, std::int64_t first);
  /// Queues the loss of `output` for these labels, and its report.
  Judged evaluate(const Tensor& output, const Tensor& labels);
  /// Where `forward` reports, in a ring of how many slots.
  struct Target {
    StepState* state;
    gpu::StepReport* reports;
    std::int64_t slots;
  };
  Target target();
  /// With the other ranks: what follows upon `forward`, up to the gradients and the report.
  void join(const Judged& judged, std::int64_t images);
  /// Makes `buffers_` those of the model.
  void find_buffers();
  /// In a step behind one that failed: undoes what it wrote to the model's buffers.
  void guard_buffers();

  StepState state_now(std::int64_t updates, std::int64_t first);
  void collect();
  /// The next report, which has arrived.
  void collect_one();
  [[noreturn]] void fail(const gpu::StepReport& report, std::int64_t updates);

  Module& model_;
  Optimizer& optimizer_;
  Loss& loss_;
  ParameterUpdate update_;
  std::unique_ptr<GpuBatches> batches_;
  Device device_;
  Stream stream_;
  StepStateMirror state_;
  StepReports reports_;
  std::unique_ptr<JoinedGpuStep> joined_;  // null: there are no other ranks
  std::vector<std::unique_ptr<CapturedStep>> steps_;
  std::vector<std::pair<Tensor, Tensor>> buffers_;  // the model's, and their values behind the last step that did not fail
  std::array<std::uint64_t, StepReports::kMaxQueued> random_steps_{};  // the model's behind each queued step
  std::int64_t next_ = 0;                                              // batch of the epoch
  std::int64_t begun_ = 0, arrived_ = 0;                               // steps
  bool labels_checked_ = false, capturable_ = true, capturable_at_once_ = true;
  Metrics seen_;
};

}  // namespace gpucnn
