#pragma once

#include <cstddef>

#include <gpucnn/core/gpu/queue.h>

namespace gpucnn::gpu {

/// Lets blocks of `kernel` have `bytes` of dynamic shared memory on the queue's GPU. It gives up to 48 KiB together with static
/// memory without being asked, and up to `Queue::max_shared_bytes` if asked, which is once for each kernel, GPU and size. Does not
/// touch a stream, so that it may be captured. Throws `DeviceError` that names the kernel if the GPU has less.
void allow_dynamic_shared(const Queue& queue, const void* kernel, const char* name, std::size_t bytes);

}  // namespace gpucnn::gpu
