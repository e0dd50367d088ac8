#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <gpucnn/core/device.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

class MemoryPlan;

/// One block of device memory and the number of handles that share it. Made and recycled by `allocate_storage` only.
struct Storage {
  std::byte* data = nullptr;
  std::size_t capacity = 0;  // bytes
  Device device;
  std::atomic<std::int64_t> uses{0};
  Storage* next = nullptr;                 // in its free list
  std::atomic<MemoryPlan*> plan{nullptr};  // of the captured step whose memory it is; null: the allocator's

  /// Tells values apart: another number, that no block had before, with each write that `note_write` was told of. kExposed where
  /// anybody may have a pointer to write through unseen.
  static constexpr std::uint64_t kExposed = 0, kUnwritten = 1;
  std::atomic<std::uint64_t> version{kUnwritten};

  GPUCNN_API void note_write() noexcept;
  /// From now on nobody knows when this is written.
  void expose() noexcept {
    if (version.load(std::memory_order_relaxed) != kExposed) version.store(kExposed, std::memory_order_relaxed);
  }
};

/// A counted handle to a Storage; the last one to go returns the block to the allocator's free list, not to the system.
class GPUCNN_API StoragePtr {
 public:
  StoragePtr() = default;
  StoragePtr(const StoragePtr& other) noexcept : storage_(other.storage_) {
    if (storage_) storage_->uses.fetch_add(1, std::memory_order_relaxed);
  }
  StoragePtr(StoragePtr&& other) noexcept : storage_(other.storage_) { other.storage_ = nullptr; }
  StoragePtr& operator=(StoragePtr other) noexcept {
    Storage* mine = storage_;
    storage_ = other.storage_;
    other.storage_ = mine;
    return *this;
  }
  ~StoragePtr() {
    if (storage_ && storage_->uses.fetch_sub(1, std::memory_order_acq_rel) == 1) recycle(storage_);
  }

  Storage* get() const noexcept { return storage_; }
  Storage* operator->() const noexcept { return storage_; }
  explicit operator bool() const noexcept { return storage_ != nullptr; }

 private:
  friend GPUCNN_API StoragePtr allocate_storage(std::size_t bytes, Device device);
  friend class MemoryPlan;
  explicit StoragePtr(Storage* storage) noexcept : storage_(storage) {}
  static void recycle(Storage* storage) noexcept;

  Storage* storage_ = nullptr;
};

/// A block of at least `bytes` bytes, aligned to 64, of unspecified content. Freed blocks are kept and handed out again, so a
/// program that repeats itself asks the system for nothing. Throws `OutOfMemory` when the device has no room even after the
/// kept blocks were given back, and `DeviceError` when the device cannot be used. Safe from several threads.
///
/// With the environment variable GPUCNN_NO_MEMORY_CACHING=1 nothing is kept and every block has the size asked for. Tools that
/// watch memory (AddressSanitizer, compute-sanitizer) then see each overrun.
GPUCNN_API StoragePtr allocate_storage(std::size_t bytes, Device device);

/// What the allocator knows, in bytes and counts since the start of the process.
struct AllocatorStats {
  std::uint64_t in_use = 0;              ///< bytes of the blocks that have handles
  std::uint64_t kept = 0;                ///< bytes of the blocks that wait in the free lists
  std::uint64_t system_allocations = 0;  ///< how often the system was asked for memory
};

GPUCNN_API AllocatorStats allocator_stats(Device device);

/// Gives all kept blocks of a device back to the system.
GPUCNN_API void empty_cache(Device device);

}  // namespace gpucnn
