#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <gpucnn/core/gpu/dynamic_shared.h>
#include <gpucnn/core/gpu/nvtx_range.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/stream.h>

/// The language of the .cu files: launches and shared memory. Tests compile the same files as C++, with a header of this name that
/// runs the kernels on the CPU. So nothing else may say `<<<>>>` or `__shared__`.
namespace gpucnn {

/// How many blocks of how many threads.
struct LaunchShape {
  std::int64_t blocks;
  int threads;
  /// What `dynamic_shared` gives each block. Together with GPUCNN_SHARED's, of which a block has at most 48 KiB, it is no more than
  /// `Queue::max_shared_bytes`: 64 KiB on compute capability 7.5, 99 on 8.6, 8.9 and 12.0, 163 on 8.0, 227 on 9.0 and 10.0.
  std::size_t shared_bytes = 0;
  /// The kernel may begin before the one before it in the stream has ended; dependent_launch.h says what it must do then. Only a
  /// hint: below compute capability 9.0 it begins when all before it has ended.
  bool overlaps_previous = false;
};

/// Queues `kernel(arguments...)` on the stream; nothing for a grid of no blocks. The grid is limited to kMaxBlocks, so kernels are
/// grid-stride loops. `name` is what a failure is called. Throws `DeviceError` if the GPU cannot run blocks of this shape. With
/// GPUCNN_CUDA_SYNC=1 waits for the kernel and reports its failure here.
template <class... Parameters>
void launch(const Stream& stream, const char* name, const LaunchShape& shape, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  if (shape.blocks <= 0) return;
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
  gpu::Queue& queue = gpu::queue(stream.device());
  const gpu::Range range(name);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(shape.blocks, gpu::kMaxBlocks));
  const void* address = reinterpret_cast<const void*>(kernel);
  if (shape.shared_bytes > 0) gpu::allow_dynamic_shared(queue, address, name, shape.shared_bytes);
  const auto stream_in_use = queue.stream();
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream_in_use;
  config.attrs = &overlap;
  config.numAttrs = shape.overlaps_previous && queue.compute_capability() >= 90 ? 1 : 0;
  gpu::check(cudaLaunchKernelExC(&config, address, pointers), name);
  queue.after_launch(name);
}

/// `name`: an array of `count` elements of `type` that the threads of a block share, aligned to 16 bytes.
#define GPUCNN_SHARED(type, name, count) __shared__ __align__(16) type name[count]

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
