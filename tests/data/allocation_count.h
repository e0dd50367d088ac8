#pragma once

#include <cstdint>

namespace gpucnn {

/// How often this test program has called `operator new`, on any thread.
std::int64_t allocation_count();

}  // namespace gpucnn
