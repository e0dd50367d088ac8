#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <gpucnn/core/device.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/shape.h>

namespace gpucnn {

/// Things that are dear to make and serve one thread at a time, kept for their next use. A thread takes one and gives it back:
/// while it has it, nobody else does. As many are made as are in use at once. Any number of threads.
template <class T>
class LeasePool {
 public:
  /// One of the pool, until it is destroyed.
  class Lease {
   public:
    Lease(LeasePool& pool, std::unique_ptr<T> leased) : pool_(&pool), leased_(std::move(leased)) {}
    ~Lease() {
      if (leased_) pool_->give_back(std::move(leased_));
    }
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;

    T& operator*() const noexcept { return *leased_; }
    T* operator->() const noexcept { return leased_.get(); }

   private:
    LeasePool* pool_;
    std::unique_ptr<T> leased_;
  };

  LeasePool() = default;
  LeasePool(LeasePool&& other) noexcept : idle_(std::move(other.idle_)) {}
  LeasePool& operator=(LeasePool&& other) noexcept {
    idle_ = std::move(other.idle_);
    return *this;
  }

  /// One that `fits(const T&)`, the last used first, or else what `make()` gives.
  template <class Fits, class Make>
  Lease take(const Fits& fits, const Make& make) {
    {
      const std::scoped_lock lock(mutex_);
      idle_.reserve(kMaxIdle);  // so that giving back cannot fail
      const auto found = std::ranges::find_if(idle_, [&](const std::unique_ptr<T>& idle) { return fits(*idle); });
      if (found != idle_.end()) {
        std::unique_ptr<T> taken = std::move(*found);
        idle_.erase(found);
        return {*this, std::move(taken)};
      }
    }
    return {*this, std::make_unique<T>(make())};
  }

 private:
  /// The one unused for longest makes room.
  void give_back(std::unique_ptr<T> unused) noexcept {
    const std::scoped_lock lock(mutex_);
    if (idle_.size() == kMaxIdle) idle_.pop_back();
    idle_.insert(idle_.begin(), std::move(unused));
  }

  static constexpr std::size_t kMaxIdle = 64;  // of a prediction in groups, one for each thread and length
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_;  // the last used first
};

/// The plans a layer made for the input shapes it met last: the batch in training, the smaller last one, those of evaluation, and
/// one for each thread that predicts.
template <class Plan>
class PlanCache {
 public:
  using Lease = typename LeasePool<Plan>::Lease;

  /// A plan that `serves` this, made by `make()` if none is idle.
  template <class Make>
  Lease take(const Shape& x, Device device, Precision precision, const Make& make) const {
    return plans_.take([&](const Plan& plan) { return plan.serves(x, device, precision); }, make);
  }

 private:
  mutable LeasePool<Plan> plans_;
};

}  // namespace gpucnn
