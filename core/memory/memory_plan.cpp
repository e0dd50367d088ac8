#include <gpucnn/core/memory/memory_plan.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include <gpucnn/core/threads/fork_safe_mutex.h>

namespace gpucnn {
namespace {

thread_local MemoryPlan* open_plan = nullptr;

/// Guards the plans' lists and the blocks' word of whose they are. One for all: it is held for moments, and only by captures.
ForkSafeMutex& guard() {
  static ForkSafeMutex& mutex = *new ForkSafeMutex;
  return mutex;
}

}  // namespace

MemoryPlan::Open::Open(MemoryPlan& plan) {
  if (open_plan) throw std::logic_error("a memory plan is open on this thread already");
  open_plan = &plan;
}

MemoryPlan::Open::~Open() { open_plan = nullptr; }

MemoryPlan::~MemoryPlan() {
  std::vector<Storage*> unused;
  {
    const std::scoped_lock lock(guard());
    for (Storage* storage : blocks_) storage->plan.store(nullptr, std::memory_order_release);
    unused = std::move(spare_);
  }
  for (Storage* storage : unused) StoragePtr::recycle(storage);
}

std::uint64_t MemoryPlan::bytes() const {
  const std::scoped_lock lock(guard());
  std::uint64_t sum = 0;
  for (const Storage* storage : blocks_) sum += storage->capacity;
  return sum;
}

MemoryPlan* MemoryPlan::open_for(Device device) noexcept { return open_plan && open_plan->device_ == device ? open_plan : nullptr; }

Storage* MemoryPlan::take(std::size_t bytes) {
  const std::scoped_lock lock(guard());
  // The smallest that is large enough, if it is not more than twice what is needed.
  const auto fits = [bytes](const Storage* storage) {
    return storage->capacity >= bytes && storage->capacity / 2 <= std::max<std::size_t>(bytes, 1024);
  };
  auto best = spare_.end();
  for (auto each = spare_.begin(); each != spare_.end(); ++each) {
    if (fits(*each) && (best == spare_.end() || (*each)->capacity < (*best)->capacity)) best = each;
  }
  if (best == spare_.end()) return nullptr;
  Storage* storage = *best;
  spare_.erase(best);
  storage->uses.store(1, std::memory_order_relaxed);
  return storage;
}

void MemoryPlan::adopt(Storage* storage) {
  const std::scoped_lock lock(guard());
  spare_.reserve(blocks_.size() + 1);
  blocks_.push_back(storage);
  storage->plan.store(this, std::memory_order_release);
}

bool MemoryPlan::take_back(Storage* storage) noexcept {
  const std::scoped_lock lock(guard());
  MemoryPlan* plan = storage->plan.load(std::memory_order_acquire);
  if (plan) plan->spare_.push_back(storage);
  return plan != nullptr;
}

}  // namespace gpucnn
