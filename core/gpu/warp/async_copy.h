#pragma once

#include <cstdint>

/// Copies from global to shared memory that run beside the thread that asks for them: cp.async, as the PTX ISA describes it under
/// "Data Movement and Conversion Instructions: Non-bulk copy". In .cu files only.
///
/// A thread's copies since its last commit are a group, which may be empty. A thread waits for its own groups, the oldest first;
/// then it sees their bytes, and others see them after a barrier behind the wait. Between a copy and its wait nobody may read or
/// write the destination, nor write the source. So readers of what lay there before are done, with a barrier, when the copy is
/// asked for. Every thread waits for all its copies before it ends.
///
/// From compute capability 8.0 on. On 7.5 a kernel that comes here is stopped by a trap: callers copy through registers there.
namespace gpucnn::warp {

/// Begins to copy kBytes bytes: 4, 8 or 16. Both addresses are multiples of kBytes. 16 bytes pass by the L1 cache.
template <int kBytes>
__device__ __forceinline__ void async_copy(void* to_shared, const void* from_global) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(__cvta_generic_to_global(from_global)) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(__cvta_generic_to_global(from_global)), "n"(kBytes)
                 : "memory");
  }
#else
  __trap();
#endif
}

/// The same for the first `source_bytes` bytes, 0 to kBytes; zeros in place of the rest, which is not read.
template <int kBytes>
__device__ __forceinline__ void async_copy(void* to_shared, const void* from_global, int source_bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from_global)),
                 "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(__cvta_generic_to_global(from_global)), "n"(kBytes),
                 "r"(source_bytes)
                 : "memory");
  }
#else
  __trap();
#endif
}

/// Makes the calling thread's copies since its last commit a group.
__device__ __forceinline__ void async_copy_commit() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  __trap();
#endif
}

/// Waits until at most the last kPending of the calling thread's groups are under way. Does not wait for copies that no commit has
/// put into a group.
template <int kPending>
__device__ __forceinline__ void async_copy_wait() {
  static_assert(kPending >= 0);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  __trap();
#endif
}

}  // namespace gpucnn::warp
