#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// Runs a kernel on the CPU: block after block, with a fiber for every thread that has to wait for others. One kernel at a time;
/// the stand-in's streams see to that.
namespace gpucnn::emulator {

inline constexpr int kMaxThreads = 1024;
inline constexpr int kWarp = 32;
/// Of static shared memory, and of all where the launch has not asked for more.
inline constexpr std::size_t kMaxStaticShared = 48 * 1024;
/// Of all, on the GPUs that have most.
inline constexpr std::size_t kMaxShared = 227 * 1024;

/// A kernel and its arguments.
class Kernel {
 public:
  Kernel(const char* kernel_name, std::uint32_t grid, int block, std::size_t dynamic_shared_bytes)
      : name(kernel_name), blocks(grid), threads(block), shared_bytes(dynamic_shared_bytes) {}
  virtual ~Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// Finds the host's addresses of the arguments that are pointers. Done before each run, on the GPU of this number.
  virtual void translate(int gpu) = 0;
  /// Runs one thread.
  virtual void call() const = 0;
  /// What tells this kernel from others.
  virtual const void* address() const = 0;

  const char* const name;
  const std::uint32_t blocks;
  const int threads;
  const std::size_t shared_bytes;
  /// Of static and dynamic shared memory together.
  std::size_t max_shared_bytes = kMaxStaticShared;
  /// Of the GPU that it runs on, as 90 for 9.0.
  int compute_capability = 90;
  /// Whether it may begin before the kernel before it has ended. Then each thread must have waited for that when it ends.
  bool overlaps_previous = false;
};

/// Runs all blocks. GPUCNN_EMULATOR_ORDER=reverse takes the threads of a block, and those that a barrier lets go, from the last to
/// the first. Aborts with a sentence where threads wait for one that does not come.
void run(Kernel& kernel);

/// A place in the code where a block's shared memory is declared, known by its address.
struct SharedSite {
  char unused;
};

/// What the threads of the running block share at this place: `bytes` bytes and no more, on the heap, filled with 0xFF: NaN.
void* shared_memory(const SharedSite& site, std::size_t bytes);
/// The launch's `shared_bytes`.
void* dynamic_shared_memory();

/// Waits for all threads of the block; gives how many came with a true predicate.
int block_barrier(bool predicate);

/// One value of each lane of a warp.
using WarpValues = std::uint64_t[kWarp];
inline constexpr std::size_t kMaxMeetingValues = 3;

/// Waits for the threads of the warp that `mask` names, which must come to the same `operation` with the same mask, and hands over
/// up to kMaxMeetingValues values each. Gives the values of the 32 lanes, first the first of each, good until the next call; those
/// outside the mask mean nothing. Only if it `orders_memory` do others see what a thread wrote before.
const WarpValues* warp_meeting(const char* operation, std::uint32_t mask, std::span<const std::uint64_t> values,
                               bool orders_memory);
inline const std::uint64_t* warp_meeting(const char* operation, std::uint32_t mask, std::uint64_t value, bool orders_memory) {
  return *warp_meeting(operation, mask, std::span(&value, 1), orders_memory);
}

/// Aborts on GPUs below compute capability 8.0, which do not know the operation.
void require_capability_8(const char* operation);

/// Aborts unless the bytes lie in one array of the block's shared memory. Under AddressSanitizer only the first must, because that
/// tells the line where the others are read.
void require_shared(const char* operation, const void* address, std::size_t bytes);
/// Whether the byte lies in the block's shared memory.
bool is_shared(const void* address);

/// A copy that the running thread has asked for, and that is made when it waits for it.
struct AsyncCopy {
  void* to;
  const void* from;
  int bytes, source_bytes;
  unsigned char source[16];  // what lay there when it was asked for
  std::int64_t group = 0;
};
void add_async_copy(const AsyncCopy& copy);
void commit_async_copies();
/// The oldest of the running thread's copies, unless it is of one of the last `pending` groups or of none yet. False without one.
bool take_async_copy(int pending, AsyncCopy* copy);

/// The running thread has waited for the kernel before.
void waited_for_previous_kernel();

/// Aborts with a sentence that names the kernel, the block and the thread.
[[noreturn]] void fail(const char* what);

}  // namespace gpucnn::emulator
