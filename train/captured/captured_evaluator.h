#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/memory/memory_plan.h>
#include <gpucnn/train/captured/gpu_batches.h>
#include <gpucnn/train/captured/step_reports.h>
#include <gpucnn/train/captured/step_state_mirror.h>
#include <gpucnn/train/evaluator.h>

namespace gpucnn {

/// Batches on a GPU, from the gather to the report. The first of each size is judged call by call, so that every plan is made. The
/// second is recorded, and replayed from then on. The host waits once, behind the last.
class CapturedEvaluator final : public Evaluator {
 public:
  CapturedEvaluator(Module& model, Loss& loss, std::unique_ptr<GpuBatches> batches);

  std::optional<Metrics> operator()(const std::function<bool()>& stop) override;

 private:
  struct Step {
    explicit Step(std::int64_t its_images) : images(its_images) {}

    std::int64_t images;
    bool warm = false;
    std::optional<MemoryPlan> memory = {};
    std::unique_ptr<gpu::Graph> graph = nullptr;

    /// Forgets what was recorded.
    void drop() {
      graph.reset();
      memory.reset();
      warm = false;
    }
  };

  /// What a graph has the addresses of.
  struct Addresses {
    std::vector<const void*> tensors;
    Precision precision = Precision::fp32;
    bool operator==(const Addresses&) const = default;
  };
  Addresses addresses() const;

  Step& step_of(std::int64_t images);
  void queue(std::int64_t images, std::int64_t first);
  bool capture(Step& step);
  void judge(std::int64_t images, std::int64_t first);
  void collect();
  void forget();

  Module& model_;
  Loss& loss_;
  std::unique_ptr<GpuBatches> batches_;
  Device device_;
  Stream stream_;
  StepStateMirror state_;
  StepReports reports_;
  std::vector<std::unique_ptr<Step>> steps_;
  Addresses captured_;
  std::int64_t begun_ = 0, arrived_ = 0;  // batches
  bool labels_checked_ = false, capturable_ = true;
  Metrics seen_;
};

}  // namespace gpucnn
