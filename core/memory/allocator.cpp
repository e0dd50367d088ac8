#include <gpucnn/core/memory/allocator.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/memory/memory_plan.h>
#include <gpucnn/core/threads/fork_safe_mutex.h>

namespace gpucnn {
namespace {

constexpr std::size_t kMinBytes = 64;  // also the alignment
constexpr int kBinsPerDoubling = 8;    // so at most 1/8 of a block is waste
constexpr int kBins = 64 * kBinsPerDoubling;
constexpr std::size_t kCheckThreshold = std::size_t{256} << 20;  // a block of so many bytes is compared with free memory first

/// The capacities a block can have: 8 evenly spaced steps between powers of two.
struct Bin {
  int index;
  std::size_t capacity;
};

Bin bin_for(std::size_t bytes) {
  const std::size_t wanted = std::max(bytes, kMinBytes * kBinsPerDoubling);
  const int doubling = static_cast<int>(std::bit_width(wanted - 1)) - 1;  // 2^doubling < wanted <= 2^(doubling + 1)
  const std::size_t spacing = (std::size_t{1} << doubling) / kBinsPerDoubling;
  const std::size_t count = (wanted + spacing - 1) / spacing;  // 9..16
  return {doubling * kBinsPerDoubling + static_cast<int>(count) - kBinsPerDoubling - 1, count * spacing};
}

/// Whether blocks are kept; asked once.
bool caching() {
  static const bool kept = [] {
    const char* off = std::getenv("GPUCNN_NO_MEMORY_CACHING");
    return !off || std::string_view(off) != "1";
  }();
  return kept;
}

/// The free lists of one device. Never destroyed: tensors with static lifetime may outlive every other object.
class Pool {
 public:
  explicit Pool(Device device) : device_(device) {}

  Storage* take(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() / 4) throw OutOfMemory(device_.string(), bytes, free_memory(), held());
    if (!caching()) return make(std::max<std::size_t>(bytes, 1));
    const Bin bin = bin_for(bytes);
    {
      const std::scoped_lock lock(mutex_);
      if (Storage* storage = free_[static_cast<std::size_t>(bin.index)]) {
        free_[static_cast<std::size_t>(bin.index)] = storage->next;
        stats_.kept -= storage->capacity;
        stats_.in_use += storage->capacity;
        storage->uses.store(1, std::memory_order_relaxed);
        storage->version.store(Storage::kUnwritten, std::memory_order_relaxed);
        return storage;
      }
    }
    return make(bin.capacity);
  }

  void put(Storage* storage) noexcept {
    const std::scoped_lock lock(mutex_);
    if (!caching()) {
      stats_.in_use -= storage->capacity;
      backend::release(device_, storage->data, storage->capacity);
      delete storage;
      return;
    }
    Storage*& head = free_[static_cast<std::size_t>(bin_for(storage->capacity).index)];
    storage->next = head;
    head = storage;
    stats_.in_use -= storage->capacity;
    stats_.kept += storage->capacity;
  }

  void release_kept() noexcept {
    const std::scoped_lock lock(mutex_);
    for (Storage*& head : free_) {
      while (head) {
        const std::unique_ptr<Storage> storage(std::exchange(head, head->next));
        stats_.kept -= storage->capacity;
        backend::release(device_, storage->data, storage->capacity);
      }
    }
  }

  AllocatorStats stats() {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }

 private:
  Storage* make(std::size_t capacity) {
    device_.require();
    auto storage = std::make_unique<Storage>();
    storage->data = static_cast<std::byte*>(allocate(capacity));
    if (!storage->data && !MemoryPlan::open_for(device_)) {  // freeing memory could break the capture of a step
      release_kept();
      storage->data = static_cast<std::byte*>(allocate(capacity));
    }
    if (!storage->data) throw OutOfMemory(device_.string(), capacity, free_memory(), held());
    storage->capacity = capacity;
    storage->device = device_;
    storage->uses.store(1, std::memory_order_relaxed);
    const std::scoped_lock lock(mutex_);
    stats_.in_use += capacity;
    ++stats_.system_allocations;
    return storage.release();
  }

  /// The system overcommits memory, and kills a process that uses more than there is. So large blocks are checked before.
  void* allocate(std::size_t capacity) noexcept {
    if (capacity >= kCheckThreshold && capacity > free_memory()) return nullptr;
    return backend::allocate(device_, capacity);
  }

  std::uint64_t free_memory() noexcept { return backend::free_memory(device_); }

  std::uint64_t held() {
    const AllocatorStats now = stats();
    return now.in_use + now.kept;
  }

  const Device device_;
  ForkSafeMutex mutex_;
  std::array<Storage*, kBins> free_{};
  AllocatorStats stats_;
};

Pool& pool_of(Device device) {
  static std::array<std::atomic<Pool*>, backend::kMaxGpus + 1> pools{};
  if (device.kind == Device::Kind::cuda && device.index >= backend::kMaxGpus) device.require();
  std::atomic<Pool*>& shared = pools[device.kind == Device::Kind::cpu ? 0U : static_cast<std::size_t>(device.index) + 1];
  Pool* pool = shared.load(std::memory_order_acquire);
  if (pool) return *pool;
  auto* const made = new Pool(device);  // other threads may do the same; the first is used, and none is destroyed
  return shared.compare_exchange_strong(pool, made, std::memory_order_acq_rel) ? *made : *pool;
}

}  // namespace

void Storage::note_write() noexcept {
  static std::atomic<std::uint64_t> last{kUnwritten};
  std::uint64_t before = version.load(std::memory_order_relaxed);
  if (before == kExposed) return;
  const std::uint64_t now = last.fetch_add(1, std::memory_order_relaxed) + 1;
  while (before != kExposed && !version.compare_exchange_weak(before, now, std::memory_order_relaxed)) {
  }
}

void StoragePtr::recycle(Storage* storage) noexcept {
  if (storage->plan.load(std::memory_order_acquire) && MemoryPlan::take_back(storage)) return;
  pool_of(storage->device).put(storage);
}

StoragePtr allocate_storage(std::size_t bytes, Device device) {
  MemoryPlan* const plan = MemoryPlan::open_for(device);
  if (!plan) return StoragePtr(pool_of(device).take(bytes));
  Storage* storage = plan->take(bytes);
  if (!storage) plan->adopt(storage = pool_of(device).take(bytes));
  return StoragePtr(storage);
}

AllocatorStats allocator_stats(Device device) { return pool_of(device).stats(); }

void empty_cache(Device device) { pool_of(device).release_kept(); }

}  // namespace gpucnn
