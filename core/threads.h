#pragma once

#include <gpucnn/core/export.h>

namespace gpucnn {

/// Every operation computes in the default floating-point environment, on whatever thread: it rounds to nearest, keeps subnormal
/// numbers but where a header says otherwise, and no exception traps. The calling thread's own environment is back when it
/// returns or throws, with the exception flags as they were.

/// How many CPU threads the library works with. At first the number of processors this process may use: its affinity or
/// its container's quota, whichever is less. Results never depend on it. A thread that the system puts aside amid work, the calling
/// one too, may be moved to the core of another one of them for the rest of that work.
GPUCNN_API int num_threads();

/// Sets it for the whole process; threads beyond it end. Throws `std::invalid_argument` unless 1 <= n <= 1024.
GPUCNN_API void set_num_threads(int n);

}  // namespace gpucnn
