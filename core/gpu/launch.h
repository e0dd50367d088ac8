#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <gpucnn/core/gpu/nvtx_range.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/stream.h>

/// The language of the .cu files: launches and shared memory. Tests compile the same files as C++, with a header of this name that
/// runs the kernels on the CPU. So nothing else may say `<<<>>>` or `__shared__`.
namespace gpucnn {

/// How many blocks of how many threads, and the bytes of `dynamic_shared` that each block gets (at most 48 KiB).
struct LaunchShape {
  std::int64_t blocks;
  int threads;
  std::size_t shared_bytes = 0;
};

/// Queues `kernel(arguments...)` on the stream; nothing for a grid of no blocks. The grid is limited to kMaxBlocks, so kernels are
/// grid-stride loops. `name` is what a failure is called. With GPUCNN_CUDA_SYNC=1 waits for the kernel and
/// reports its failure here.
template <class... Parameters>
void launch(const Stream& stream, const char* name, const LaunchShape& shape, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  if (shape.blocks <= 0) return;
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
  gpu::Queue& queue = gpu::queue(stream.device());
  const gpu::Range range(name);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(shape.blocks, gpu::kMaxBlocks));
  gpu::check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(blocks), dim3(static_cast<unsigned>(shape.threads)),
                              pointers, shape.shared_bytes, queue.stream()),
             name);
  queue.after_launch(name);
}

/// `name`: an array of `count` elements of `type` that the threads of a block share.
#define GPUCNN_SHARED(type, name, count) __shared__ type name[count]

/// Before a loop: its iterations are written out one after the other.
#define GPUCNN_UNROLL _Pragma("unroll")
/// They are not.
#define GPUCNN_NO_UNROLL _Pragma("unroll 1")

/// The LaunchShape's `shared_bytes`, aligned to 16 bytes.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char gpucnn_dynamic_shared[];
  return reinterpret_cast<T*>(gpucnn_dynamic_shared);
}

}  // namespace gpucnn
