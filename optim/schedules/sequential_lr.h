#pragma once

#include <functional>

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// Schedules one behind the other, as `torch.optim.lr_scheduler.SequentialLR`: a warm-up and what comes then. Each begins, at step
/// 0 of its own, from the base rates. Holds references to them.
class GPUCNN_API SequentialLR : public LRScheduler {
 public:
  /// schedulers: of this optimizer; milestones: the step at which each but the first begins, never falling. Throws
  /// `std::invalid_argument` otherwise, and for a ReduceLROnPlateau.
  SequentialLR(Optimizer& optimizer, std::vector<std::reference_wrapper<LRScheduler>> schedulers,
               std::vector<std::int64_t> milestones);

 private:
  /// Which schedule has this step.
  std::size_t turn() const;
  static void begin(LRScheduler& scheduler);

  void advance() override;
  void restart() override;
  void save(std::vector<double>& numbers) const override;
  void check(std::span<const double> numbers) const override;
  void load(std::span<const double> numbers) override;

  std::vector<std::reference_wrapper<LRScheduler>> schedulers_;
  std::vector<std::int64_t> milestones_;
};

}  // namespace gpucnn
