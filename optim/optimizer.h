#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/stream.h>

namespace gpucnn {

/// Changes parameters by their gradients. Holds handles: a model may move to another place or device. Parameters without a gradient
/// are passed over, as in PyTorch. One thread at a time.
class GPUCNN_API Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  /// One update of every parameter that has a gradient. Throws `std::logic_error` if the optimizer was moved from.
  void step();
  /// Forgets all gradients; the next backward writes instead of adding.
  void zero_grad();

  double lr() const noexcept { return lr_; }
  /// Throws `std::invalid_argument` unless lr is finite in f32 and not negative.
  void set_lr(double lr);

 protected:
  /// `parameters` as `Module::parameters()` gives them. Throws `std::invalid_argument` for none, for one that is given twice, or an
  /// lr as above.
  Optimizer(std::vector<Parameter> parameters, double lr);

  /// Throws `std::invalid_argument` with the option's name unless `holds`.
  static void require(bool holds, const char* option, double value);

  /// One flat tensor of state, zero at first: parameter i's share begins at the sum of the padded sizes before it.
  Tensor make_state() const;

  /// Memory that one kernel updates: neighbours in their arena that have a gradient and took equally many steps before.
  struct Run {
    Tensor values, grads;       // f32 [count]
    std::int64_t first, count;  // in a tensor of `make_state`
    std::int64_t step;          // this one, counted from 1
  };
  virtual void update(const Run& run, Stream& stream) = 0;
  /// Called when the parameters have moved to another device than the state.
  virtual void move_state(Device device) = 0;

 private:
  struct Item {
    Parameter parameter;
    std::int64_t first;  // in a tensor of `make_state`
    std::int64_t steps = 0;
  };

  void refuse_moved_from() const;

  friend class CapturedSteps;
  /// Counts updates that were made without `step`, or takes back what was counted and not made.
  void count_updates(std::int64_t count) noexcept;

  std::vector<Item> items_;
  std::int64_t updates_ = 0;
  double lr_;
  Device device_;
};

}  // namespace gpucnn
