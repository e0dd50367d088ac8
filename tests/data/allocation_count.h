#pragma once

#include <cstdint>

namespace gpucnn {

/// How often this test program has called `operator new`, on any thread.
std::int64_t allocation_count();

/// Lets this thread's `operator new` work `allocations` more times and throw `std::bad_alloc` once after that; negative: never.
void fail_allocation_after(std::int64_t allocations);

}  // namespace gpucnn
