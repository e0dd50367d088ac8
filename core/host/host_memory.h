#pragma once

#include <cstddef>
#include <cstdint>

/// The CPU's memory, as `backend` hands it out in every build.
namespace gpucnn::host_memory {

void* allocate(std::size_t bytes) noexcept;
void release(void* memory, std::size_t bytes) noexcept;

/// The least of what the machine has available, and what this process's control group and its limit on address space still allow.
std::uint64_t free_bytes() noexcept;

/// Throws the `OutOfMemory` of a request for so many bytes.
[[noreturn]] void fail(std::uint64_t bytes);

/// sum[i] += more[i] for `count` floats.
void add(float* sum, const float* more, std::int64_t count) noexcept;

}  // namespace gpucnn::host_memory
