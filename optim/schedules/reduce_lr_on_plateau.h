#pragma once

#include <optional>

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

enum class PlateauMode { min, max };    ///< whether the metric should fall or rise
enum class ThresholdMode { rel, abs };  ///< whether the threshold is a part of the best metric, or a difference to it

/// PyTorch's names, order and defaults.
struct ReduceLROnPlateauOptions {
  PlateauMode mode = PlateauMode::min;
  double factor = 0.1;                                ///< in [0, 1)
  std::int64_t patience = 10;                         ///< >= 0: steps without a better metric that are let pass
  double threshold = 1e-4;                            ///< >= 0: how much better than the best a better metric is
  ThresholdMode threshold_mode = ThresholdMode::rel;  ///< of the threshold
  std::int64_t cooldown = 0;                          ///< >= 0: steps behind a reduction in which none is counted
  PerGroup min_lr = 0.0;                              ///< >= 0
  double eps = 1e-8;                                  ///< >= 0: a reduction by no more than that is not made
};

/// The rate times `factor` when a metric, such as the test loss, has not become better for more than `patience` steps; as
/// `torch.optim.lr_scheduler.ReduceLROnPlateau`. NaN is never better.
class GPUCNN_API ReduceLROnPlateau : public LRScheduler {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds.
  explicit ReduceLROnPlateau(Optimizer& optimizer, ReduceLROnPlateauOptions options = {});

  /// Goes on to the next step by its metric. `step()` without it, of the base class, throws `std::logic_error`.
  void step(double metric);

 private:
  void advance() override;
  void restart() override;
  void save(std::vector<double>& numbers) const override;
  void check(std::span<const double> numbers) const override;
  void load(std::span<const double> numbers) override;
  bool is_better(double metric) const;
  void reduce();

  ReduceLROnPlateauOptions options_;
  std::vector<double> min_lr_;
  std::optional<double> metric_;  // of the step that is made
  double best_;
  double bad_steps_ = 0.0, cooldown_ = 0.0;  // counts
};

}  // namespace gpucnn
