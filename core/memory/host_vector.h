#pragma once

#include <cstdint>
#include <limits>
#include <new>
#include <vector>

#include <gpucnn/core/host/host_memory.h>

namespace gpucnn {

/// `count` >= 0 values of 0. Throws `OutOfMemory` where the host has no room, also where the system would promise it all the same.
template <class T>
std::vector<T> host_vector(std::int64_t count) {
  const auto wanted = static_cast<std::uint64_t>(count);
  const std::uint64_t max_count = std::numeric_limits<std::int64_t>::max() / sizeof(T),
                      bytes = wanted > max_count ? max_count * sizeof(T) : wanted * sizeof(T);
  if (bytes > host_memory::free_bytes()) host_memory::fail(bytes);
  try {
    return std::vector<T>(static_cast<std::size_t>(wanted));
  } catch (const std::bad_alloc&) {
    host_memory::fail(bytes);
  }
}

}  // namespace gpucnn
