#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/optim/optimizer.h>

namespace gpucnn {

/// A number for each parameter group in turn, or one for all groups.
class GPUCNN_API PerGroup {
 public:
  PerGroup(double all) : values_{all} {}
  PerGroup(std::initializer_list<double> each) : values_(each) {}
  PerGroup(std::vector<double> each) : values_(std::move(each)) {}

  /// One number for each of `groups` groups. Throws `std::invalid_argument`, which names the option, for another count.
  std::vector<double> values(std::size_t groups, std::string_view option) const;

 private:
  std::vector<double> values_;
};

/// Changes the learning rates of an optimizer from step to step, as `torch.optim.lr_scheduler.LRScheduler`. The constructor of a
/// schedule sets the rates of step 0; then comes, again and again, `optimizer.step()` and `scheduler.step()`. What a step is, a
/// batch or an epoch, is the caller's choice.
///
/// Rates follow from those before, in double. So several schedules may work on one optimizer, one after the other in every step,
/// and their factors multiply. Each group goes from a base rate, the one it had when its first schedule was made.
///
/// Holds a reference: the optimizer must stay where it is. One thread at a time.
class GPUCNN_API LRScheduler {
 public:
  virtual ~LRScheduler();
  LRScheduler(const LRScheduler&) = delete;
  LRScheduler& operator=(const LRScheduler&) = delete;

  /// Goes on to the next step. Throws `std::invalid_argument` for a rate that the optimizer refuses.
  void step();

  /// The rate of each group behind the last step.
  const std::vector<double>& last_lr() const noexcept { return last_lr_; }
  /// How many steps there were.
  std::int64_t steps() const noexcept { return steps_; }
  /// Whose rates it changes.
  const Optimizer& optimizer() const noexcept { return optimizer_; }

  /// What it knows, a few numbers, for another run to go on with. The options are not among them.
  std::vector<double> state() const;
  /// Goes on from there, and sets the optimizer's rates. Throws `std::invalid_argument`, and changes nothing, unless these are the
  /// numbers of a schedule of the same kind.
  void set_state(const std::vector<double>& numbers);

 protected:
  explicit LRScheduler(Optimizer& optimizer);

  /// Throws `std::invalid_argument`, "OPTION must be RULE, got VALUE", unless `holds`. OPTION has the schedule's name.
  static void require(bool holds, std::string_view option, double value, std::string_view rule);
  /// The same for a whole number that is not negative.
  static void require_count(std::string_view option, double value);

  std::size_t groups() const noexcept { return base_lrs_.size(); }
  double base_lr(std::size_t group) const noexcept { return base_lrs_[group]; }
  /// For all schedules of the optimizer that are made from now on, as well.
  void set_base_lr(std::size_t group, double lr);
  /// Makes these the optimizer's rates, one for each group.
  void set_lrs(std::span<const double> lrs);
  /// Takes the optimizer's rates as those behind the last step.
  void read_lrs();

  /// From step `steps() - 1` to `steps()`.
  virtual void advance() = 0;
  /// To step 0, from the optimizer's rates.
  virtual void restart() = 0;
  /// Behind all else: the numbers that a schedule knows besides.
  virtual void save(std::vector<double>& numbers) const;
  /// Throws `std::invalid_argument` for numbers that `save` cannot have written. There are as many as it writes.
  virtual void check(std::span<const double> numbers) const;
  /// Takes back what `save` wrote and `check` let through, when steps and rates are set.
  virtual void load(std::span<const double> numbers);

  Optimizer& target() const noexcept { return optimizer_; }

 private:
  friend class SequentialLR;

  static void check_lrs(std::span<const double> lrs);
  /// Throws what `set_state` throws for these numbers.
  void check_state(std::span<const double> numbers) const;

  Optimizer& optimizer_;
  std::vector<double> base_lrs_, last_lr_;
  std::int64_t steps_ = 0;
};

/// A schedule with a formula for the rate of a group.
class GPUCNN_API FormulaLR : public LRScheduler {
 protected:
  explicit FormulaLR(Optimizer& optimizer);
  /// Sets the rates of step 0. Call it at the end of the constructor.
  void start();

  /// The rate of step 0, for a group that has the rate `lr`.
  virtual double first_lr(std::size_t group, double lr) const = 0;
  /// The rate of step `steps()`, which is at least 1, for a group that has the rate `lr`.
  virtual double next_lr(std::size_t group, double lr) const = 0;

  void advance() override;
  void restart() override;

 private:
  std::vector<double> next_;
};

}  // namespace gpucnn
