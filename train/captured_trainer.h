#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/memory/memory_plan.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/train/step_state_kernels.h>
#include <gpucnn/train/trainer_impl.h>

namespace gpucnn {

/// Training steps on a GPU. The first step of each batch size runs call by call, so that every plan is made; the second is recorded
/// as a CUDA graph, and replayed from then on. What differs between replays lies in a StepState in device memory. Each step writes
/// what it came to into a ring that the host reads without waiting.
class CapturedSteps final : public Trainer::Impl {
 public:
  /// `dataset` is the loader's, on the model's GPU.
  CapturedSteps(Module& model, Optimizer& optimizer, DataLoader& loader, const TensorDataset& dataset);
  ~CapturedSteps() override;

  void start_epoch() override;
  bool step() override;
  Metrics take() override;
  Metrics finish() override;
  std::int64_t steps() const noexcept override { return begun_; }

 private:
  static constexpr std::int64_t kSlots = 64;  // steps that the GPU may be behind

  struct FreeReports {
    void operator()(gpu::StepReport* reports) const noexcept { cudaFreeHost(reports); }
  };

  /// A step for batches of one size.
  struct Step {
    explicit Step(std::int64_t size) : images(size) {}
    std::int64_t images;
    bool warm = false;                 // whether it ran before
    std::array<Tensor, 2> parameters;  // Module::memory, held, because the graph has its addresses
    Precision precision = Precision::fp32;
    std::optional<MemoryPlan> memory;
    std::unique_ptr<gpu::Graph> graph;
    std::int64_t updates = 0;        // the optimizer's when it was captured
    bool counts_forward = false;     // whether the model counts its forwards
    std::vector<Parameter> learned;  // those that get a gradient
  };

  void take_step(std::int64_t first);
  Step& step_of(std::int64_t images);
  bool holds(const Step& step);
  void run(std::int64_t images, std::int64_t first);
  /// False if this step cannot be recorded.
  bool capture(Step& step);
  void record(Step& step);
  void launch(const Step& step, const StepState& now);

  Batch gather(std::int64_t images, std::int64_t first);
  std::pair<Tensor, Tensor> lose(const Tensor& logits, const Tensor& labels);
  void check_labels(std::int64_t num_classes);

  StepState state_now(std::int64_t updates, std::int64_t first);
  void set_step_state(const StepState& now);
  StepState* step_state() { return reinterpret_cast<StepState*>(state_.bytes()); }

  void collect();
  [[noreturn]] void fail(const gpu::StepReport& report, std::int64_t updates);

  Module& model_;
  Optimizer& optimizer_;
  DataLoader& loader_;
  const TensorDataset& dataset_;
  Device device_;
  Stream stream_;
  Tensor state_, order_;
  StepState on_device_;  // what state_ holds once the work queued is done
  std::unique_ptr<gpu::StepReport[], FreeReports> reports_;
  gpu::StepReport* reports_on_device_ = nullptr;
  std::vector<std::unique_ptr<Step>> steps_;
  std::int64_t next_ = 0;                 // batch of the epoch
  std::int64_t begun_ = 0, arrived_ = 0;  // steps
  bool labels_checked_ = false, capturable_ = true;
  Metrics seen_;
};

}  // namespace gpucnn
