#pragma once

#include <gpucnn/core/export.h>

/// Every operation computes in the default floating-point environment, on whatever thread. It rounds to nearest, and no exception
/// traps. Subnormal numbers are kept unless a header says otherwise. The calling thread's own environment is back when it
/// returns or throws, with the exception flags as they were.
namespace gpucnn {

/// How many CPU threads the library works with, the caller's among them. Results never depend on it. At first it is the number of
/// processors that this thread may use, which its affinity and the quotas of its control groups (versions 1 and 2) limit.
GPUCNN_API int num_threads();

/// Sets it for the whole process; threads beyond it end. Throws `std::invalid_argument` unless 1 <= n <= 1024.
GPUCNN_API void set_num_threads(int n);

/// Whether threads may be migrated: at first not, and the library then never sets a thread's affinity.
GPUCNN_API bool core_migration();

/// While it is on, a thread that waits for a preempted thread migrates it to its own core, and workers leave the caller's core. So
/// work goes on where other programs use the same cores. The caller may be the one that is migrated. For whoever owns its threads.
///
/// For each migration the thread's affinity is set for a few microseconds and then reset. An affinity that the application sets
/// meanwhile for all threads stays; one that it sets for one of the two alone may reach both.
GPUCNN_API void set_core_migration(bool on);

}  // namespace gpucnn
