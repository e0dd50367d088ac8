#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include <gpucnn/core/device.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/shape.h>

namespace gpucnn {

/// The plans a layer made for the input shapes it met last. A few are enough: the batch in training, the smaller last one, and
/// those of evaluation.
template <class Plan>
class PlanCache {
 public:
  /// The plan that `serves` this, made by `make()` if there is none; the one unused for longest makes room.
  template <class Make>
  Plan& get(const Shape& x, Device device, Precision precision, Make&& make) {
    const auto found = std::ranges::find_if(plans_, [&](const Plan& plan) { return plan.serves(x, device, precision); });
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
