#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <gpucnn/core/device.h>

/// What core asks of a device: memory, copies and waiting. CMake lists one of the files that define these functions:
/// `backend_cpu.cpp` in a build without CUDA, `backend_cuda.cpp` in one with it.
namespace gpucnn::backend {

/// GPUs with an index below this can be used.
inline constexpr int kMaxGpus = 64;

/// Whether GPU `index` can be used. `reason` (may be null) receives half a sentence: why not, or what GPU it is.
bool cuda_usable(int index, std::string* reason);

/// `bytes` of uninitialised memory, aligned to 64 bytes or more; null if the device has no room. `bytes` > 0.
void* allocate(Device device, std::size_t bytes) noexcept;
/// Gives it back, once work that is queued no longer needs it.
void release(Device device, void* memory, std::size_t bytes) noexcept;

/// Bytes that an allocation can still count on; 2^64 - 1 where the system does not say.
std::uint64_t free_memory(Device device) noexcept;

/// Copies `bytes` between devices, in the order of their queues; the ranges do not overlap. `from` may be freed afterwards. A copy
/// to the CPU waits until it is there.
void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes);

/// Sets `bytes` to 0.
void clear(Device device, void* memory, std::size_t bytes);

/// sum[i] += more[i] for `count` floats.
void add(Device device, float* sum, const float* more, std::int64_t count);

/// The compute capability of a usable GPU, times ten; 0 for the CPU.
int compute_capability(Device device);

/// Waits for all work that is queued for the device. Throws if that has failed: `DeviceError`, or `std::invalid_argument` for a
/// label that only the device could see.
void synchronize(Device device);

/// The CUDA stream in which the calling thread's work for the device is queued now; null for the CPU.
void* native_stream(Device device);

}  // namespace gpucnn::backend
