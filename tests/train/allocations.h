#pragma once

#include <cstddef>
#include <cstdint>

namespace gpucnn {

/// What this test program has allocated, on all threads.
struct Allocations {
  std::int64_t ours;     ///< calls of `operator new` outside of oneDNN's execute
  std::int64_t onednns;  ///< calls of `operator new` within
  std::size_t largest;   ///< bytes of the largest, of either, and of oneDNN's `posix_memalign`
};

/// What was allocated since the last call.
Allocations take_allocations();

}  // namespace gpucnn
