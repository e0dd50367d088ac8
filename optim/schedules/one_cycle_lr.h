#pragma once

#include <optional>

#include <gpucnn/optim/schedules/lr_scheduler.h>

namespace gpucnn {

/// How a rate goes from one value to another: by half a cosine, or in a straight line.
enum class AnnealStrategy { cos, linear };

/// PyTorch's names, order and defaults.
struct OneCycleLROptions {
  PerGroup max_lr;                                       ///< >= 0
  std::optional<std::int64_t> total_steps = {};          ///< >= 1; without it epochs * steps_per_epoch
  std::optional<std::int64_t> epochs = {};               ///< >= 1
  std::optional<std::int64_t> steps_per_epoch = {};      ///< >= 1
  double pct_start = 0.3;                                ///< in [0, 1]: the part of all steps in which the rate rises
  AnnealStrategy anneal_strategy = AnnealStrategy::cos;  ///< of rate and momentum
  bool cycle_momentum = true;                            ///< whether the momentum, Adam's first beta, falls where the rate rises
  PerGroup base_momentum = 0.85;                         ///< the least
  PerGroup max_momentum = 0.95;                          ///< the first and the last
  double div_factor = 25.0;                              ///< > 0: the first rate is max_lr / div_factor
  double final_div_factor = 1e4;                         ///< > 0: the last rate is the first / final_div_factor
  bool three_phase = false;                              ///< down to the first rate as fast as up, and only then to the last
};

/// The rate from low to `max_lr` and down to almost nothing, once in the whole training, as `torch.optim.lr_scheduler.OneCycleLR`.
/// Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates" (2018).
///
/// The first rate is its base rate, whatever rate the optimizer had. Step `total_steps` is behind the last: there PyTorch's formula
/// goes on beyond its end, and what would leave a rate below 0 or a momentum outside its two bounds is held at them.
class GPUCNN_API OneCycleLR : public FormulaLR {
 public:
  /// Throws `std::invalid_argument` for options out of their bounds, or if the optimizer has no momentum to cycle.
  OneCycleLR(Optimizer& optimizer, OneCycleLROptions options);

  std::int64_t total_steps() const noexcept { return total_steps_; }

 private:
  static constexpr std::int64_t kMaxSteps = std::int64_t{1} << 53;  // that a double counts

  /// The values that a cycle goes between.
  enum class Level { initial, max, min };
  /// A part of the steps, and where it goes.
  struct Phase {
    double end;  // its last step, which may lie between two
    Level from, to;
  };
  static std::int64_t steps_of(const OneCycleLROptions& options);
  /// What a value has become at this step which is `of(group, level)` at the ends of the phases.
  double now(std::size_t group, double (OneCycleLR::*of)(std::size_t, Level) const) const;
  double lr_at(std::size_t group, Level level) const;
  double momentum_at(std::size_t group, Level level) const;

  double first_lr(std::size_t group, double lr) const override;
  double next_lr(std::size_t group, double lr) const override;
  void advance() override;
  void restart() override;
  void load(std::span<const double> numbers) override;
  void set_momentum();

  OneCycleLROptions options_;
  std::int64_t total_steps_;
  std::vector<double> max_lr_, base_momentum_, max_momentum_;
  std::vector<Phase> phases_;
};

}  // namespace gpucnn
