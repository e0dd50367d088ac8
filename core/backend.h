#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <gpucnn/core/device.h>

/// What core asks of a device: memory and copies. CMake lists one of the files that define these functions: `backend_cpu.cpp`
/// in a build without CUDA.
namespace gpucnn::backend {

/// Whether GPU `index` can be used; if not, `reason` says why in half a sentence.
bool cuda_usable(int index, std::string& reason);

/// `bytes` of uninitialised memory, aligned to 64 bytes or more; null if the device has no room. `bytes` > 0.
void* allocate(Device device, std::size_t bytes) noexcept;
void release(Device device, void* memory, std::size_t bytes) noexcept;

/// Bytes that an allocation can still count on; 2^64 - 1 where the system does not say.
std::uint64_t free_memory(Device device) noexcept;

/// Copies `bytes` between devices; the ranges do not overlap. Returns when `to` may be read and `from` may be freed.
void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes);

}  // namespace gpucnn::backend
