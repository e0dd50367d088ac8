#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <gpucnn/core/shape.h>

namespace gpucnn {

/// The plans a layer made for the input shapes it met last. A few are enough: the batch in training, the smaller last one, and
/// those of evaluation.
template <class Plan>
class PlanCache {
 public:
  /// The plan for inputs of shape x, made by `make()` if there is none; the one unused for longest makes room.
  template <class Make>
  Plan& get(const Shape& x, Make&& make) {
    const auto found = std::ranges::find(plans_, x, [](const Plan& plan) -> const Shape& { return plan.x_shape(); });
    if (found != plans_.end()) {
      std::rotate(plans_.begin(), found, found + 1);
    } else {
      Plan plan = make();
      if (plans_.size() == kMost) plans_.pop_back();
      plans_.insert(plans_.begin(), std::move(plan));
    }
    return plans_.front();
  }

  void clear() { plans_.clear(); }

 private:
  static constexpr std::size_t kMost = 6;
  std::vector<Plan> plans_;  // the last used first
};

}  // namespace gpucnn
