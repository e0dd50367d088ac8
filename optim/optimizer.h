#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/state_dict.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/optim/parameter_group.h>

namespace gpucnn {

/// Changes parameters by their gradients. Holds handles: a model may move to another place or device, and the state follows it.
/// Parameters without a gradient are passed over, as in PyTorch. Parameters stand in groups, each with options of its own. A list
/// of parameters is one group, number 0. One thread at a time.
class GPUCNN_API Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  /// One update of every parameter that has a gradient. Throws `std::logic_error` if the optimizer was moved from.
  void step();
  /// Forgets all gradients; the next backward writes instead of adding.
  void zero_grad();

  /// How many groups of parameters there are: at most kMaxGroups.
  std::size_t groups() const noexcept { return groups_.size(); }
  static constexpr std::size_t kMaxGroups = 8;

  /// A group's learning rate. Throws `std::invalid_argument` if there is no such group.
  double lr(std::size_t group = 0) const { return settings(group).lr; }
  /// Sets it, of all groups. Throws `std::invalid_argument` unless lr is finite in f32 and not negative.
  void set_lr(double lr);
  /// Of one group. Throws `std::invalid_argument` also if there is no such group.
  void set_lr(std::size_t group, double lr);

  /// A group's momentum, or Adam's betas.first: what OneCycleLR cycles. Throws `std::logic_error` if the optimizer has none, as SGD
  /// that was made without momentum, and `std::invalid_argument` if there is no such group.
  double momentum(std::size_t group = 0) const;
  /// Sets it. Throws as `momentum`, and `std::invalid_argument` where the constructor would.
  void set_momentum(std::size_t group, double momentum);
  bool has_momentum() const noexcept { return !groups_.empty() && groups_.front().momentum.has_value(); }

  /// The parameters, in the order they were given, group by group.
  std::vector<Parameter> parameters() const;

  /// How many updates there were.
  std::int64_t steps() const noexcept { return steps_; }
  /// Counts `count` updates of every parameter that has a gradient, which were made without `step`, as by a graph that replays it.
  /// Negative: takes back what was counted and not made.
  void count_steps(std::int64_t count) noexcept;

  /// What it knows besides the parameters, for another run to go on with. `exp_avg.features.0.weight`, PyTorch's word and the
  /// parameter's name, is f32 of the parameter's shape. `step.features.0.weight`, i64 [1] on the CPU, is how many updates the
  /// parameter had. All are copies. The learning rate is the caller's.
  StateDict state_dict() const;
  /// Copies it in. Throws `std::invalid_argument`, and changes nothing, unless names, shapes and dtypes are those of
  /// `state_dict()`.
  void load_state_dict(const StateDict& state);

 protected:
  /// What can change between steps. All groups have a momentum, or none.
  struct Settings {
    double lr;
    std::optional<double> momentum;
  };
  /// `parameters` as `Module::parameters()` gives them. Throws `std::invalid_argument` for none, for one that is given twice, for
  /// more than kMaxGroups groups, or an lr as above. A momentum is for the caller to check.
  explicit Optimizer(std::vector<ParameterGroup<Settings>> groups);
  /// One group without momentum.
  Optimizer(std::vector<Parameter> parameters, double lr);

  /// `groups` with `settings(options)` for the options: what the constructor above takes.
  template <class Options, class SettingsOf>
  static std::vector<ParameterGroup<Settings>> with_settings(std::vector<ParameterGroup<Options>>& groups,
                                                             const SettingsOf& settings) {
    std::vector<ParameterGroup<Settings>> all;
    all.reserve(groups.size());
    for (ParameterGroup<Options>& group : groups) all.push_back({std::move(group.parameters), settings(group.options)});
    return all;
  }
  /// The same for options with lr and momentum; the momentum is kept where a group has one.
  template <class Options>
  static std::vector<ParameterGroup<Settings>> with_momentum(std::vector<ParameterGroup<Options>>& groups) {
    const bool any = std::ranges::any_of(groups, [](const auto& group) { return group.options.momentum != 0.0; });
    return with_settings(groups, [any](const Options& options) {
      return Settings{options.lr, any ? std::optional(options.momentum) : std::nullopt};
    });
  }
  template <class Options>
  static std::vector<Options> options_of(const std::vector<ParameterGroup<Options>>& groups) {
    std::vector<Options> all;
    all.reserve(groups.size());
    for (const ParameterGroup<Options>& group : groups) all.push_back(group.options);
    return all;
  }

  /// Adds a number for each element of the parameters, zero at first, under PyTorch's name for it. Call it in the constructor: the
  /// first is number 0 for `state`. `has`: the groups whose parameters have one; without it, all.
  void add_state(std::string name, const std::function<bool(std::size_t group)>& has = {});

  /// Throws `std::invalid_argument` unless it can be the group's momentum: finite in f32 and not negative.
  virtual void check_momentum(std::size_t group, double momentum) const;

  /// Memory that one kernel updates: neighbours in their arena, of one group, that have a gradient and took equally many steps
  /// before.
  struct Range {
    Tensor values, grads;       // f32 [count]
    std::int64_t first, count;  // from the optimizer's first parameter on, each padded as in an arena
    std::int64_t step;          // this one, counted from 1
    std::size_t group;
    bool is_whole;  // the only one of this step
  };
  virtual void update(const Range& range, Stream& stream) = 0;
  /// The range's part of state number `i`: f32 [count]. Undefined if the group has none.
  Tensor state(std::size_t i, const Range& range) const;

 private:
  friend class LRScheduler;

  struct Item {
    Parameter parameter;
    std::int64_t first;  // the sum of the padded sizes before it
    std::size_t group;
    std::int64_t steps = 0;
  };

  struct State {
    std::string name;
    Tensor values;
    /// What to add to a parameter's `first` to find its part, for the groups that have one.
    std::array<std::optional<std::int64_t>, kMaxGroups> shift;
  };

  void refuse_moved_from() const;
  const Settings& settings(std::size_t group) const;
  std::vector<std::string> unique_names() const;
  StateDict shared_state() const;

  std::vector<Item> items_;
  std::vector<State> states_;
  std::int64_t steps_ = 0;
  std::vector<Settings> groups_;
  std::vector<double> initial_lrs_;  // of the groups, when the first schedule was made; empty before
  Device device_;
};

}  // namespace gpucnn
