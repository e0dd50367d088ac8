#pragma once

#include <vector>

#include <gpucnn/core/memory/allocator.h>

namespace gpucnn {

/// The memory of a captured step: blocks that belong to its replays. While a plan is open, this thread's blocks on its device come
/// from it. Spare blocks come first, then new ones from the allocator, which become the plan's. Nobody else gets them before the
/// plan is gone, so that a replay overwrites no other memory. A handle that outlives the plan keeps its block, which then is the
/// allocator's.
class MemoryPlan {
 public:
  explicit MemoryPlan(Device device) : device_(device) {}
  ~MemoryPlan();
  MemoryPlan(const MemoryPlan&) = delete;
  MemoryPlan& operator=(const MemoryPlan&) = delete;

  /// While one lives, its plan is open on this thread. One at a time.
  class Open {
   public:
    explicit Open(MemoryPlan& plan);
    ~Open();
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
  };

  /// The bytes of all blocks.
  std::uint64_t bytes() const;

  /// For the allocator: the plan that is open on this thread for this device, or null.
  static MemoryPlan* open_for(Device device) noexcept;
  /// A block of at least `bytes`, or null if the plan has none to spare.
  Storage* take(std::size_t bytes);
  /// Makes a block the plan's.
  void adopt(Storage* storage);
  /// Takes a block back from its last handle. False if its plan has gone: it is the allocator's.
  static bool take_back(Storage* storage) noexcept;

 private:
  const Device device_;
  std::vector<Storage*> blocks_, spare_;  // spare: those without handles; large enough for all, so that taking back cannot fail
};

}  // namespace gpucnn
