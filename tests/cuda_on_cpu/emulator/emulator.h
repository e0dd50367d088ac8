#pragma once

#include <cstddef>
#include <cstdint>

/// Runs a kernel on the CPU: block after block, with a fiber for every thread that has to wait for others. One kernel at a time;
/// the stand-in's streams see to that.
namespace gpucnn::emulator {

inline constexpr int kMaxThreads = 1024;
inline constexpr int kWarp = 32;
inline constexpr std::size_t kMaxShared = 48 * 1024;

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

  const char* const name;
  const std::uint32_t blocks;
  const int threads;
  const std::size_t shared_bytes;
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

/// Waits for the threads of the warp that `mask` names, which must come to the same `operation` with the same mask, and hands over
/// one value each. Gives the values of the 32 lanes, good until the next call; those outside the mask mean nothing. Only if it
/// `orders_memory` do others see what a thread wrote before.
const std::uint64_t* warp_meeting(const char* operation, std::uint32_t mask, std::uint64_t value, bool orders_memory);

/// Aborts with a sentence that names the kernel, the block and the thread.
[[noreturn]] void fail(const char* what);

}  // namespace gpucnn::emulator
